// recurrent: chunked prefill against the naive scan, and decode at growing contexts.
#include "bench/bench.h"
#include "engine/synthetic.h"

namespace continuo::bench {
namespace {

struct Options {
  engine::LoadOptions load;
  std::vector<std::string> shapes{"mamba2-130m", "falcon-h1-150m", "qwen3-next-150m"};
  std::vector<int64_t> prompts{128, 1024, 8192};
  std::vector<int64_t> contexts{0, 1024, 16384};
  int repeats = 3;
};

// Seconds to feed `tokens` to an empty slot in chunks of `columns`, the median of `repeats`.
Result<double> prefill(engine::LoadedModel& loaded, int64_t tokens, int64_t columns, bool naive,
                       int repeats) {
  graph::Target target = loaded.target;
  target.naive_recurrences = naive;
  engine::Stepper stepper(*loaded.executor, *loaded.model, target, *loaded.weights, *loaded.cache,
                          {1, tokens, 0, false});
  const engine::StepKey key{1, columns, 0, models::Head::kArgmax};
  CONTINUO_RETURN_IF_ERROR(stepper.prepare(key));
  Status status;
  const auto seconds = time_each(
      repeats,
      [&]() -> Status {
        for (int64_t start = 0; start < tokens; start += columns)
          CONTINUO_RETURN_IF_ERROR(run_step(stepper, key, start, columns));
        return ok_status();
      },
      status);
  CONTINUO_RETURN_IF_ERROR(std::move(status));
  return median(seconds);
}

Status run_shape(const Options& options, const std::string& shape) {
  engine::LoadOptions load = options.load;
  load.model = shape;
  CONTINUO_TRY(auto loaded, engine::load_synthetic(load));
  const bool on_host = loaded->executor->info().platform == "cpu";
  const double bandwidth = on_host ? host_bandwidth() : 0;
  for (const int64_t tokens : options.prompts) {
    const int64_t columns = std::min<int64_t>(tokens, on_host ? 512 : 8192);
    CONTINUO_TRY(const double chunked, prefill(*loaded, tokens, columns, false, options.repeats));
    CONTINUO_TRY(const double naive, prefill(*loaded, tokens, columns, true, 1));
    fmt::print(
        "{:<16} prefill {:>5} tokens: chunked {:>8.0f} tok/s  naive {:>8.0f} tok/s  x{:.1f}\n",
        shape, tokens, double(tokens) / chunked, double(tokens) / naive, naive / chunked);
    std::fflush(stdout);
  }
  for (const int64_t context : options.contexts) {
    engine::Stepper stepper(*loaded->executor, *loaded->model, loaded->target, *loaded->weights,
                            *loaded->cache, {1, context + 64, 0, false});
    const engine::StepKey key{1, 1, 0, models::Head::kArgmax};
    CONTINUO_RETURN_IF_ERROR(stepper.prepare(key));
    Status status;
    int64_t position = context;
    const auto seconds = time_each(
        30, [&] { return run_step(stepper, key, position++, 1); }, status);
    CONTINUO_RETURN_IF_ERROR(std::move(status));
    const double step = median(seconds), bytes = double(loaded->weights->bytes());
    fmt::print("{:<16} decode at context {:>5}: {:.2f} ms", shape, context, step * 1e3);
    if (bandwidth > 0)
      fmt::print("  (weights at {:.1f} GB/s: {:.2f} ms, {:.0f} %)", bandwidth / 1e9,
                 bytes / bandwidth * 1e3, 100 * bytes / bandwidth / step);
    fmt::print("\n");
    std::fflush(stdout);
  }
  return ok_status();
}

}  // namespace

void add_recurrent(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("recurrent", "Chunked prefill against the naive scan, and decode");
  command->add_option("--synthetic", options->shapes, "shapes")->delimiter(',');
  command->add_option("--prompts", options->prompts, "prompt lengths")->delimiter(',');
  command->add_option("--contexts", options->contexts, "decode contexts")->delimiter(',');
  command->add_option("--plugin", options->load.executor.plugin, "PJRT plugin file");
  command->add_option("--dtype", options->load.dtype, "auto, f32 or bf16");
  command->add_option("--repeats", options->repeats, "of each chunked prefill");
  command->callback([options, &exit_code] {
    for (const std::string& shape : options->shapes) {
      const Status status = run_shape(*options, shape);
      if (status.ok()) continue;
      fmt::print(stderr, "continuo_bench: {}: {}\n", shape, status.error().message);
      exit_code = 2;
    }
  });
}

}  // namespace continuo::bench
