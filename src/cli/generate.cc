// continuo generate: streams a completion or an answer.
#include <atomic>
#include <chrono>
#include <csignal>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>

#include "cli/command.h"
#include "engine/generator.h"
#include "engine/text_model.h"
#include "text/stop_strings.h"

namespace continuo::cli {
namespace {

struct Options {
  ModelOptions model;
  std::optional<std::string> prompt, chat, automatic;
  std::string system;
  std::vector<std::string> stops;
  engine::GenerateRequest request;
  std::optional<uint64_t> seed;
  bool json = false, ignore_eos = false, quiet = false;
};

std::atomic<bool> interrupted{false};

// The first Ctrl-C ends the answer after the token being computed, a second the process.
void on_interrupt(int) {
  if (interrupted.exchange(true)) std::_Exit(kInterrupted);
}

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Result<std::vector<int32_t>> prompt_ids(const Options& options, const engine::TextModel& text) {
  if (options.chat) return engine::encode_chat(text, options.system, *options.chat);
  if (options.prompt) return text.tokenizer.encode(*options.prompt);
  const std::string given = options.automatic
                                ? *options.automatic
                                : std::string(std::istreambuf_iterator<char>(std::cin), {});
  if (given.empty()) return error(ErrorCode::kInvalidArgument, "the prompt is empty");
  if (text.chat) return engine::encode_chat(text, options.system, given);
  return text.tokenizer.encode(given);
}

// Turns tokens into text on stdout, ends at a stop string.
class Printer {
 public:
  Printer(const engine::TextModel& text, const Options& options)
      : decoder_(text.tokenizer.stream()), stops_(options.stops), stream_(!options.json) {}

  // False once a stop string has come.
  bool push(int32_t token) {
    auto piece = decoder_.push(token);
    if (piece.ok()) show(stops_.push(*piece));
    return !stops_.stopped();
  }
  void finish() {
    if (auto rest = decoder_.flush(); rest.ok() && !stops_.stopped()) show(stops_.push(*rest));
    if (!stops_.stopped()) show(stops_.flush());
  }
  bool stopped() const { return stops_.stopped(); }
  const std::string& text() const { return text_; }

 private:
  void show(const std::string& piece) {
    text_ += piece;
    if (!stream_ || piece.empty()) return;
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  }
  text::StreamDecoder decoder_;
  text::StopStrings stops_;
  std::string text_;
  bool stream_;
};

struct Figures {
  double load = 0, compile = 0, first_token = 0;
  engine::CompileCacheStats executables;
};

double rate(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

void print_figures(const Figures& figures, const engine::GenerateResult& result, size_t prompt) {
  fmt::print(stderr,
             "\nload {:.2f} s | compile {:.2f} s ({} compiled, {} loaded) | first token {:.2f} s | "
             "prefill {} tokens {:.1f} tok/s | decode {} tokens {:.1f} tok/s\n",
             figures.load, figures.compile, figures.executables.compiled,
             figures.executables.loaded, figures.first_token, prompt,
             rate(double(prompt), result.prefill_seconds), result.decode_steps,
             rate(double(result.decode_steps), result.decode_seconds));
}

nlohmann::json to_json(const Figures& figures, const engine::GenerateResult& result,
                       const Printer& printer, size_t prompt, const std::string& reason) {
  return {{"text", printer.text()},
          {"ids", result.ids},
          {"finish_reason", reason},
          {"usage", {{"prompt_tokens", prompt}, {"completion_tokens", result.ids.size()}}},
          {"executables",
           {{"compiled", figures.executables.compiled}, {"loaded", figures.executables.loaded}}},
          {"timings",
           {{"load_s", figures.load},
            {"compile_s", figures.compile},
            {"first_token_s", figures.first_token},
            {"prefill_tokens_per_s", rate(double(prompt), result.prefill_seconds)},
            {"decode_tokens_per_s", rate(double(result.decode_steps), result.decode_seconds)}}}};
}

Result<int> run(Options& options) {
  const auto start = Clock::now();
  engine::GenerateRequest& request = options.request;
  request.sampling.seed = options.seed ? *options.seed : std::random_device{}();
  CONTINUO_RETURN_IF_ERROR(engine::check(request.sampling));
  options.model.load.show_progress = !options.quiet;
  CONTINUO_TRY(auto loaded, engine::load_model(options.model.load));
  CONTINUO_TRY(const engine::TextModel text, engine::text_model(loaded->checkpoint));
  CONTINUO_TRY(request.ids, prompt_ids(options, text));
  if (!options.ignore_eos) request.eos_ids = text.tokenizer.eos_ids();
  const int64_t positions = loaded->model->facts().max_positions;
  const int64_t context = options.model.context > 0
                              ? options.model.context
                              : engine::Generator::context_for(int64_t(request.ids.size()),
                                                               request.max_tokens, positions);
  engine::Stepper stepper(*loaded->executor, *loaded->model, loaded->target, *loaded->weights,
                          *loaded->cache, {1, context, 0, !options.quiet});
  engine::Generator generator(stepper);
  CONTINUO_RETURN_IF_ERROR(generator.prepare(request));
  Figures figures;
  figures.executables = loaded->cache->stats();
  figures.compile = figures.executables.compile_seconds + figures.executables.load_seconds;
  figures.load = since(start) - figures.compile;

  std::signal(SIGINT, on_interrupt);
  Printer printer(text, options);
  const double ready = since(start);
  CONTINUO_TRY(const engine::GenerateResult result, generator.generate(request, [&](int32_t token) {
    return printer.push(token) && !interrupted.load();
  }));
  printer.finish();
  figures.first_token = ready + result.first_token_seconds;
  figures.executables = loaded->cache->stats();
  const std::string reason = printer.stopped() ? "stop" : engine::to_string(result.reason);
  if (options.json)
    fmt::print("{}\n", to_json(figures, result, printer, request.ids.size(), reason)
                           .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  else
    fmt::print("\n");
  if (!options.quiet) print_figures(figures, result, request.ids.size());
  return interrupted.load() ? kInterrupted : kSuccess;
}

}  // namespace

void add_generate(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("generate", "Stream a completion or a chat's answer");
  add_model_options(*command, options->model);
  auto* source = command->add_option_group("prompt", "one of these; else stdin, read as --auto");
  source->add_option("--prompt,-p", options->prompt, "text to complete");
  source->add_option("--chat,-c", options->chat, "a user's message to answer");
  source->add_option("--auto", options->automatic,
                     "--chat where the model has a chat template, else --prompt");
  source->require_option(0, 1);
  command->add_option("--system", options->system, "the chat's system message");
  command->add_option("--max-tokens,-n", options->request.max_tokens, "longest answer")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  engine::SamplingParams& sampling = options->request.sampling;
  command->add_option("--temperature", sampling.temperature, "0 = greedy")->capture_default_str();
  command->add_option("--top-k", sampling.top_k, "keep the k likeliest, 0 = all");
  command->add_option("--top-p", sampling.top_p, "keep the likeliest up to this probability");
  command->add_option("--min-p", sampling.min_p, "keep those this close to the likeliest");
  command->add_option("--seed", options->seed, "of the random choices (default: random)");
  command->add_option("--stop", options->stops, "text that ends the answer; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--ignore-eos", options->ignore_eos, "go on after an end token");
  command->add_flag("--json", options->json, "one JSON object instead of a stream");
  command->add_flag("--quiet,-q", options->quiet, "no progress and no figures");
  command->callback([options, &exit_code] {
    auto result = run(*options);
    exit_code = result.ok() ? *result : fail(result.error());
  });
}

}  // namespace continuo::cli
