// continuo generate: streams a completion or an answer.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "engine/context_warning.h"
#include "engine/engine.h"
#include "engine/scheduler.h"
#include "engine/text_model.h"

namespace continuo::cli {
namespace {

struct Options {
  ModelOptions model;
  std::optional<std::string> prompt, chat, automatic;
  std::string system;
  engine::Request request;
  bool json = false, quiet = false;
  engine::EngineOptions engine;  // with --deterministic: slots and prefill_columns
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

// Prints the answer as it comes and remembers it; called by the engine, waited for by the command.
class Printer {
 public:
  explicit Printer(bool stream) : stream_(stream) {}

  void take(const engine::Event& event) {
    const std::lock_guard lock(mutex_);
    text_ += event.text;
    if (stream_ && !event.text.empty()) {
      std::fwrite(event.text.data(), 1, event.text.size(), stdout);
      std::fflush(stdout);
    }
    if (event.token) ids_.push_back(*event.token);
    if (!event.finish) return;
    end_ = event;
    ended_.notify_all();
  }
  // Until the answer has ended; calls `interrupt` once if Ctrl-C is pressed before.
  const engine::Event& wait(const std::function<void()>& interrupt) {
    std::unique_lock lock(mutex_);
    for (bool told = false; !end_;) {
      ended_.wait_for(lock, std::chrono::milliseconds(50));
      if (!told && interrupted.load()) interrupt(), told = true;
    }
    return *end_;
  }
  const std::string& text() const { return text_; }
  const std::vector<int32_t>& ids() const { return ids_; }

 private:
  const bool stream_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::string text_;
  std::vector<int32_t> ids_;
  std::optional<engine::Event> end_;
};

struct Figures {
  double ready = 0, first_token = 0;  // seconds from the start
  engine::CompileCacheStats executables;
};

double rate(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

void print_figures(const Figures& figures, const engine::Event& end) {
  const int64_t decoded = std::max<int64_t>(0, end.completion_tokens - 1);
  fmt::print(stderr,
             "\nready {:.2f} s ({} compiled, {} loaded) | first token {:.2f} s | "
             "prefill {} tokens {:.1f} tok/s | decode {} tokens {:.1f} tok/s\n",
             figures.ready, figures.executables.compiled, figures.executables.loaded,
             figures.first_token, end.prompt_tokens,
             rate(double(end.prompt_tokens), end.timings.prefill_s), decoded,
             rate(double(decoded), end.timings.decode_s));
}

nlohmann::json to_json(const Figures& figures, const Printer& printer, const engine::Event& end,
                       std::vector<int32_t> ids) {
  const double decoded = double(std::max<int64_t>(0, end.completion_tokens - 1));
  return {{"text", printer.text()},
          {"ids", ids},
          {"finish_reason", engine::to_string(*end.finish)},
          {"usage", {{"prompt_tokens", end.prompt_tokens}, {"completion_tokens", ids.size()}}},
          {"executables",
           {{"compiled", figures.executables.compiled}, {"loaded", figures.executables.loaded}}},
          {"timings",
           {{"ready_s", figures.ready},
            {"compile_s", figures.executables.compile_seconds},
            {"first_token_s", figures.first_token},
            {"prefill_tokens_per_s", rate(double(end.prompt_tokens), end.timings.prefill_s)},
            {"decode_tokens_per_s", rate(decoded, end.timings.decode_s)}}}};
}

// One slot, a context as long as this answer may get, and just the graphs it needs; or, where bits
// are promised, the steps of a server with the same options.
engine::EngineOptions engine_options(const Options& options, const engine::LoadedModel& model) {
  const engine::Request& request = options.request;
  engine::EngineOptions result = options.engine;
  result.show_progress = !options.quiet;
  result.on_hang = exit_on_hang;
  result.context = options.model.context;
  if (result.deterministic) return result;
  result.slots = 1;
  if (result.context == 0)
    result.context = engine::context_for(int64_t(request.ids.size()), request.max_tokens,
                                         model.model->facts().max_positions);
  const engine::StepLimits limits = engine::step_limits(model, result.context);
  const auto widths = engine::default_scheduler_options(1, result.context, limits).columns;
  const auto width = std::lower_bound(widths.begin(), widths.end(), int64_t(request.ids.size()));
  result.columns = {width == widths.end() ? widths.back() : *width};
  result.greedy_graphs = request.sampling.temperature == 0;
  result.sampling_graphs = !result.greedy_graphs;
  return result;
}

Result<int> run(Options& options) {
  const auto start = Clock::now();
  engine::Request& request = options.request;
  CONTINUO_RETURN_IF_ERROR(engine::check(request.sampling, INT32_MAX));
  options.model.load.show_progress = !options.quiet;
  CONTINUO_TRY(auto loaded, engine::load_model(options.model.load));
  CONTINUO_TRY(const engine::TextModel text, engine::text_model(loaded->checkpoint));
  CONTINUO_TRY(request.ids, prompt_ids(options, text));
  CONTINUO_TRY(auto engine,
               engine::Engine::create(*loaded, &text.tokenizer, engine_options(options, *loaded)));
  const std::string warning =
      engine::context_warning(loaded->model->facts(), engine->options().context);
  if (!warning.empty()) fmt::print(stderr, "warning: {}\n", warning);
  Figures figures;
  figures.executables = loaded->cache->stats();
  figures.ready = since(start);

  std::signal(SIGINT, on_interrupt);
  // The engine's events hold it too: an exception below must not free it while they come.
  const auto shared = std::make_shared<Printer>(!options.json);
  Printer& printer = *shared;
  request.on_event = [shared](const engine::Event& event) { shared->take(event); };
  CONTINUO_TRY(const uint64_t id, engine->submit(request));
  const engine::Event& end = printer.wait([&] { engine->cancel(id); });
  if (!end.error.empty()) return error(ErrorCode::kUnavailable, "{}", end.error);
  figures.first_token = figures.ready + end.timings.queued_s + end.timings.prefill_s;
  figures.executables = loaded->cache->stats();
  if (options.json) {
    std::vector<int32_t> ids = printer.ids();  // without the end token
    if (!request.ignore_eos && !ids.empty() && text.tokenizer.is_eos(ids.back())) ids.pop_back();
    fmt::print("{}\n", to_json(figures, printer, end, ids)
                           .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    fmt::print("\n");
  }
  if (!options.quiet) print_figures(figures, end);
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
  command->add_option("--repetition-penalty", sampling.repetition_penalty,
                      "of tokens that prompt or answer have, 1 = none");
  command->add_option("--frequency-penalty", sampling.frequency_penalty,
                      "for each time the answer has a token");
  command->add_option("--presence-penalty", sampling.presence_penalty, "if the answer has a token");
  command->add_option("--seed", sampling.seed, "of the random choices (default: random)");
  command
      ->add_option("--stop", options->request.stops, "text that ends the answer; may be repeated")
      ->allow_extra_args(false);
  command->add_flag("--ignore-eos", options->request.ignore_eos, "go on after an end token");
  add_deterministic_option(*command, options->engine);
  CLI::Option* deterministic = command->get_option("--deterministic");
  command->add_option("--slots", options->engine.slots, "of the server whose steps these are")
      ->needs(deterministic)
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      ->add_option("--prefill-columns", options->engine.prefill_columns,
                   "of the server whose steps these are, 0 = what suits the device")
      ->needs(deterministic)
      ->check(CLI::Range(0, 1 << 20));
  command->add_flag("--json", options->json, "one JSON object instead of a stream");
  command->add_flag("--quiet,-q", options->quiet, "no progress and no figures");
  command->callback([options, &exit_code] {
    auto result = run(*options);
    exit_code = result.ok() ? *result : fail(result.error());
  });
}

}  // namespace continuo::cli
