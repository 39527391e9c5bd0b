// decode: how much of the memory's bandwidth a decode step reads weights with.
#include "bench/bench.h"
#include "engine/synthetic.h"

namespace continuo::bench {
namespace {

struct Options {
  engine::LoadOptions load;
  std::string synthetic;
  int64_t rows = 1, context = 512, steps = 40;
};

Status run(Options options) {
  if (!options.synthetic.empty()) options.load.model = options.synthetic;
  CONTINUO_TRY(auto loaded, options.synthetic.empty() ? engine::load_model(options.load)
                                                      : engine::load_synthetic(options.load));
  engine::Stepper stepper(*loaded->executor, *loaded->model, loaded->target, *loaded->weights,
                          *loaded->cache, {options.rows, options.context, 0, true});
  const engine::StepKey key{options.rows, 1, 0, models::Head::kArgmax};
  CONTINUO_RETURN_IF_ERROR(stepper.prepare(key));
  const double before = host_bandwidth();
  Status status;
  int64_t position = 0;
  const auto seconds = time_each(
      int(options.steps), [&] { return run_step(stepper, key, position++, 1); }, status);
  CONTINUO_RETURN_IF_ERROR(std::move(status));
  const double bandwidth = std::max(before, host_bandwidth());
  const double step = median(seconds), bytes = double(loaded->weights->bytes());
  fmt::print(
      "{:<28} rows {} weights {:.0f} MB bandwidth {:.1f} GB/s floor {:.2f} ms step {:.2f} ms "
      "(median of {}) ratio {:.0f} % {:.1f} tok/s\n",
      loaded->checkpoint.path.substr(loaded->checkpoint.path.find_last_of('/') + 1), options.rows,
      bytes / 1e6, bandwidth / 1e9, bytes / bandwidth * 1e3, step * 1e3, seconds.size(),
      100 * bytes / bandwidth / step, double(options.rows) / step);
  return ok_status();
}

}  // namespace

void add_decode(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("decode", "A decode step against the memory's bandwidth");
  command->add_option("--model", options->load.model, "folder or .gguf");
  command->add_option("--synthetic", options->synthetic, "a shape with random weights instead");
  command->add_option("--plugin", options->load.executor.plugin, "PJRT plugin file");
  command->add_option("--dtype", options->load.dtype, "auto, f32 or bf16");
  command->add_option("--rows", options->rows, "rows");
  command->add_option("--context", options->context, "positions a slot holds");
  command->add_option("--steps", options->steps, "steps to time");
  command->callback([options, &exit_code] {
    const Status status = run(*options);
    if (status.ok()) return;
    fmt::print(stderr, "continuo_bench: {}\n", status.error().message);
    exit_code = 2;
  });
}

}  // namespace continuo::bench
