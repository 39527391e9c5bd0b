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

// Seconds to feed a prompt to an empty slot, of the chunked and the naive spelling.
struct Prefills {
  std::vector<double> chunked, naive;
};

// The step that takes `columns` from `start` on, attending over the next power of two positions.
engine::StepKey prefill_key(int64_t start, int64_t columns, int64_t tokens) {
  int64_t attended = columns;
  while (attended < start + columns) attended *= 2;
  return {1, columns, std::min(attended, tokens), models::Head::kArgmax};
}

// In chunks of `columns`, in turns, so that what else the machine does meets both alike.
Result<Prefills> prefill(engine::LoadedModel& loaded, int64_t tokens, int64_t columns,
                         int repeats) {
  graph::Target looped = loaded.target;
  looped.naive_recurrences = true;
  const engine::StepperOptions shape{1, tokens, 0, false};
  engine::Stepper chunked(*loaded.executor, *loaded.model, loaded.target, *loaded.weights,
                          *loaded.cache, shape);
  engine::Stepper naive(*loaded.executor, *loaded.model, looped, *loaded.weights, *loaded.cache,
                        shape);
  for (int64_t start = 0; start < tokens; start += columns)
    for (engine::Stepper* stepper : {&chunked, &naive})
      CONTINUO_RETURN_IF_ERROR(stepper->prepare(prefill_key(start, columns, tokens)));
  const auto seconds = [&](engine::Stepper& stepper, Status& status) {
    const auto feed = [&]() -> Status {
      for (int64_t start = 0; start < tokens; start += columns)
        CONTINUO_RETURN_IF_ERROR(
            run_step(stepper, prefill_key(start, columns, tokens), start, columns));
      return ok_status();
    };
    return time_each(1, feed, status)[0];
  };
  Prefills result;
  Status status;
  for (int i = 0; i < repeats && status.ok(); ++i) {
    result.chunked.push_back(seconds(chunked, status));
    if (status.ok()) result.naive.push_back(seconds(naive, status));
  }
  CONTINUO_RETURN_IF_ERROR(std::move(status));
  return result;
}

Status run_shape(const Options& options, const std::string& shape) {
  engine::LoadOptions load = options.load;
  load.model = shape;
  CONTINUO_TRY(auto loaded, engine::load_synthetic(load));
  const bool on_host = loaded->executor->info().platform == "cpu";
  for (const int64_t tokens : options.prompts) {
    const int64_t columns = std::min<int64_t>(tokens, on_host ? 512 : 8192);
    CONTINUO_TRY(const Prefills times, prefill(*loaded, tokens, columns, options.repeats));
    std::vector<double> ratios;
    for (size_t i = 0; i < times.naive.size(); ++i)
      ratios.push_back(times.naive[i] / times.chunked[i]);
    fmt::print(
        "{:<16} prefill {:>5} tokens: chunked {:>8.0f} tok/s  naive {:>8.0f} tok/s  x{:.1f}\n",
        shape, tokens, double(tokens) / median(times.chunked), double(tokens) / median(times.naive),
        median(ratios));
    std::fflush(stdout);
  }
  for (const int64_t context : options.contexts) {
    engine::Stepper stepper(*loaded->executor, *loaded->model, loaded->target, *loaded->weights,
                            *loaded->cache, {1, context + 64, 0, false});
    const engine::StepKey key{1, 1, 0, models::Head::kArgmax};
    CONTINUO_RETURN_IF_ERROR(stepper.prepare(key));
    const double before = on_host ? host_bandwidth() : 0;
    Status status;
    int64_t position = context;
    const auto seconds = time_each(
        30, [&] { return run_step(stepper, key, position++, 1); }, status);
    CONTINUO_RETURN_IF_ERROR(std::move(status));
    const double step = median(seconds), bytes = double(loaded->weights->bytes());
    fmt::print("{:<16} decode at context {:>5}: {:.2f} ms", shape, context, step * 1e3);
    if (on_host) {
      const double bandwidth = std::max(before, host_bandwidth());
      fmt::print("  (weights at {:.1f} GB/s: {:.2f} ms, {:.0f} %)", bandwidth / 1e9,
                 bytes / bandwidth * 1e3, 100 * bytes / bandwidth / step);
    }
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
  command->add_option("--repeats", options->repeats, "of each prefill, chunked and naive in turns");
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
