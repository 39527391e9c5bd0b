// continuo bench: the bare step against the memory's floor, or the engine under load.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/bench_host.h"
#include "cli/command.h"
#include "engine/engine.h"
#include "engine/synthetic.h"
#include "measure/serve_bench.h"
#include "measure/step_bench.h"

namespace continuo::cli {
namespace {

using nlohmann::json;

struct Options {
  ModelOptions model;
  std::string synthetic, mode = "ragged", stat = "median", sampling = "greedy";
  measure::StepBenchOptions steps;
  measure::ServeBenchOptions serving;
  engine::EngineOptions engine;  // with --serve
  bool serve = false, serial = false, host = false, as_json = false;
};

Status run_steps(Options& options, engine::LoadedModel& model) {
  options.steps.context = options.model.context;
  options.steps.best = options.stat == "best";
  options.steps.ragged = options.mode != "uniform";
  options.steps.uniform = options.mode != "ragged";
  json all = json::array();
  for (const int64_t rows : std::exchange(options.steps.rows, {})) {
    options.steps.rows = {rows};
    const double before = model.cache->stats().compile_seconds;
    CONTINUO_TRY(const auto lines, measure::bench_steps(model, options.steps));
    const double compiling = model.cache->stats().compile_seconds - before;
    for (const measure::StepBenchLine& line : lines) {
      all.push_back({{"rows", line.rows},
                     {"mode", line.mode},
                     {"ms_per_step", line.ms_per_step},
                     {"tokens_per_s", line.tokens_per_s},
                     {"prefill_tokens_per_s", line.prefill_tokens_per_s},
                     {"floor_ms", line.floor_ms},
                     {"floor_ratio", line.floor_ratio},
                     {"compile_s", compiling}});
      if (options.as_json) continue;
      fmt::print(
          "rows {:>3} {:<7} {:>8.3f} ms/step {:>9.1f} tok/s  prefill {:>9.1f} tok/s  floor "
          "{:.3f} ms, {:.0f} % of it reached  compiled in {:.1f} s\n",
          line.rows, line.mode, line.ms_per_step, line.tokens_per_s, line.prefill_tokens_per_s,
          line.floor_ms, 100 * line.floor_ratio, compiling);
      std::fflush(stdout);
    }
  }
  if (options.as_json) fmt::print("{}\n", all.dump());
  return ok_status();
}

json to_json(const measure::Percentiles& each) {
  return {{"p50", each.p50}, {"p95", each.p95}, {"p99", each.p99}};
}

// Qwen2.5's generation_config samples with these and with this penalty.
void choose(const std::string& how, measure::ServeBenchOptions& serving) {
  if (how == "sampled" || how == "penalised")
    serving.sampling = {.temperature = 0.7, .top_k = 20, .top_p = 0.8};
  if (how == "penalised") serving.sampling.repetition_penalty = 1.05;
  if (how == "logprobs") serving.top_logprobs = 5;
}

Status run_serving(Options& options, engine::LoadedModel& model) {
  json all = json::array();
  choose(options.sampling, options.serving);
  for (const int64_t rows : options.steps.rows) {
    engine::EngineOptions engine_options = options.engine;
    engine_options.slots = rows;
    engine_options.overlap = !options.serial;
    engine_options.max_queue = options.serving.requests;
    engine_options.show_progress = true;
    engine_options.on_hang = exit_on_hang;
    int64_t context = options.model.context;
    if (context == 0) context = engine::context_for(options.steps.prompt, options.steps.tokens, 0);
    engine_options.context = context;
    if (options.steps.whole) engine_options.attended = {context};
    engine_options.prefill_columns = options.steps.columns;
    CONTINUO_TRY(const auto engine, engine::Engine::create(model, nullptr, engine_options));
    options.serving.prompt = options.steps.prompt;
    options.serving.tokens = options.steps.tokens;
    CONTINUO_TRY(const measure::ServeBenchResult result,
                 measure::bench_serving(*engine, model.model->facts().vocab, options.serving));
    all.push_back({{"slots", rows},
                   {"tokens_per_s", result.tokens_per_s},
                   {"requests_per_s", result.requests_per_s},
                   {"first_token_ms", to_json(result.first_token)},
                   {"between_tokens_ms", to_json(result.between_tokens)}});
    if (options.as_json) continue;
    fmt::print(
        "slots {:>3} {} {:>9.1f} tok/s {:>7.2f} req/s  first token p50 {:.1f} p95 {:.1f} p99 "
        "{:.1f} "
        "ms  between tokens p50 {:.3f} p95 {:.3f} p99 {:.3f} ms\n",
        rows, options.serial ? "serial" : "overlapped", result.tokens_per_s, result.requests_per_s,
        result.first_token.p50, result.first_token.p95, result.first_token.p99,
        result.between_tokens.p50, result.between_tokens.p95, result.between_tokens.p99);
    std::fflush(stdout);
  }
  if (options.as_json) fmt::print("{}\n", all.dump());
  return ok_status();
}

Status run(Options& options) {
  engine::LoadOptions& load = options.model.load;
  if (load.model.empty() == options.synthetic.empty())
    return error(ErrorCode::kInvalidArgument, "bench: wanted either --model or --synthetic");
  if (!options.synthetic.empty()) load.model = options.synthetic;
  load.show_progress = true;
  CONTINUO_TRY(const auto model,
               options.synthetic.empty() ? engine::load_model(load) : engine::load_synthetic(load));
  if (options.host)
    return bench_host(*model, options.steps.rows, options.steps.prompt, options.steps.tokens);
  return options.serve ? run_serving(options, *model) : run_steps(options, *model);
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("bench", "Time a step against the memory's floor, or the engine");
  add_model_options(*command, options->model, false);
  command->add_option("--synthetic", options->synthetic, "a shape with random weights instead")
      ->check(CLI::IsMember(engine::synthetic_names()));
  command->add_option("--rows", options->steps.rows, "batch sizes")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  command->add_option("--prompt", options->steps.prompt, "tokens of each prompt")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--tokens", options->steps.tokens, "tokens of each answer")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--stat", options->stat, "of the steps' times: best or median")
      ->check(CLI::IsMember({"best", "median"}))
      ->capture_default_str();
  command
      ->add_option("--mode", options->mode,
                   "every row at its own position, all at one (a graph for this only), or both")
      ->check(CLI::IsMember({"ragged", "uniform", "both"}))
      ->capture_default_str();
  command
      ->add_option("--ahead", options->steps.ahead,
                   "steps launched before the tokens of the last are waited for, timed together")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--prefill-columns", options->steps.columns,
                   "of the widest prefill step, 0 = what suits the device")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--attention", options->model.load.attention,
                   "auto, bucket (plain, over a bucket of positions) or loop (over blocks of them)")
      ->check(CLI::IsMember({"auto", "bucket", "loop"}))
      ->capture_default_str();
  command->add_flag("--whole", options->steps.whole, "attend over the whole context, not buckets");
  command->add_flag("--serve", options->serve, "drive the engine instead of the bare step");
  command->add_option("--requests", options->serving.requests, "with --serve: how many")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--rate", options->serving.rate,
                   "with --serve: requests a second, Poisson; 0 = all at once")
      ->check(CLI::Range(0.0, 1e6));
  command
      ->add_option("--sampling", options->sampling,
                   "with --serve, how tokens are chosen: greedy, sampled, penalised or logprobs")
      ->check(CLI::IsMember({"greedy", "sampled", "penalised", "logprobs"}))
      ->capture_default_str();
  command->add_flag(
      "--host", options->host,
      "the host's part of a step of --rows streams, over a device that takes no time");
  command->add_flag("--serial", options->serial, "with --serve: without overlap");
  add_deterministic_option(*command, options->engine);
  command->add_flag("--json", options->as_json, "one list of objects");
  command->callback([options, &exit_code] {
    const Status status = run(*options);
    exit_code = status.ok() ? kSuccess : fail(status.error());
  });
}

}  // namespace continuo::cli
