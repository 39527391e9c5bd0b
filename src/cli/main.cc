#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "cli/command.h"

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("continuo"));
  spdlog::set_pattern("continuo: %l: %v");
  CLI::App app{"Continuo serves transformer, state-space, hybrid and recurrent language models.",
               "continuo"};
  app.require_subcommand(1);
  app.set_version_flag("--version", CONTINUO_VERSION);
  app.footer(
      "stdout carries results only. Exit codes: 0 success, 1 verify or bits found a mismatch, "
      "2 a file, device or request failed, 130 interrupted, 100 and up unusable arguments.");
  int exit_code = continuo::cli::kSuccess;
  continuo::cli::add_generate(app, exit_code);
  continuo::cli::add_serve(app, exit_code);
  continuo::cli::add_bench(app, exit_code);
  continuo::cli::add_logits(app, exit_code);
  continuo::cli::add_verify(app, exit_code);
  continuo::cli::add_bits(app, exit_code);
  continuo::cli::add_emit(app, exit_code);
  continuo::cli::add_inspect(app, exit_code);
  continuo::cli::add_families(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& failure) {  // a bug of ours, or no memory: say so, do not abort
    fmt::print(stderr, "continuo: {}\n", failure.what());
    return continuo::cli::kFailed;
  }
  return exit_code;
}
