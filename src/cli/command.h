// What every command shares: its options, its exit codes, its way to report.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/loaded_model.h"

namespace continuo::cli {

// Exit codes, documented in the README. CLI11's own (100 and up) are for unusable arguments.
constexpr int kSuccess = 0;
constexpr int kMismatch = 1;  // verify: an answer differs from the reference; bits: from itself
constexpr int kFailed = 2;    // a file, device or request failed; stderr says what
constexpr int kInterrupted = 130;

// --model --config --executor --plugin --dtype --context --threads --cache-dir
struct ModelOptions {
  engine::LoadOptions load;
  int64_t context = 0;  // 0 = chosen by the command
};
void add_model_options(CLI::App& command, ModelOptions& options, bool model_required = true);

// --deterministic
void add_deterministic_option(CLI::App& command, engine::EngineOptions& options);

// Prints "continuo: message" to stderr and returns kFailed.
int fail(const Error& error);

// An engine's on_hang, for commands that wait for it: nothing can free its step thread.
void exit_on_hang(const std::string& what);

// Adds a command; its callback sets the exit code.
void add_generate(CLI::App& app, int& exit_code);
void add_bench(CLI::App& app, int& exit_code);
void add_serve(CLI::App& app, int& exit_code);
void add_logits(CLI::App& app, int& exit_code);
void add_verify(CLI::App& app, int& exit_code);
void add_bits(CLI::App& app, int& exit_code);
void add_emit(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_families(CLI::App& app, int& exit_code);

}  // namespace continuo::cli
