#include "cli/command.h"

#include <cstdio>
#include <cstdlib>

namespace continuo::cli {

void add_model_options(CLI::App& command, ModelOptions& options, bool model_required) {
  engine::LoadOptions& load = options.load;
  auto* model =
      command.add_option("--model,-m", load.model, "Hugging Face folder, MLX folder or GGUF file");
  if (model_required) model->required();
  command.add_option("--config", load.config_file, "config.json to use instead of the model's own");
  command.add_option("--executor", load.executor.executor, "pjrt or iree")
      ->check(CLI::IsMember({"pjrt", "iree"}))
      ->capture_default_str();
  command.add_option("--plugin", load.executor.plugin,
                     "PJRT plugin file (default: $CONTINUO_PJRT_PLUGIN, CUDA's where there is a "
                     "GPU, the pinned CPU one) or IREE's compiler (default: "
                     "$CONTINUO_IREE_COMPILER, the build's)");
  command.add_option("--device", load.executor.device,
                     "of --executor iree: local-task (default), local-sync or cuda");
  command.add_option("--dtype", load.dtype, "weights on the device: auto, f32 or bf16")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->capture_default_str();
  command.add_option("--context", options.context, "positions a sequence may have")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  command.add_option("--threads", load.executor.threads, "CPU threads, 0 = all cores")
      ->check(CLI::Range(0, 1024));
  command.add_option("--cache-dir", load.cache_dir,
                     "folder of compiled executables (default: $CONTINUO_CACHE_DIR, "
                     "~/.cache/continuo/executables)");
}

void add_deterministic_option(CLI::App& command, engine::EngineOptions& options) {
  command.add_flag("--deterministic", options.deterministic,
                   "the same request gives the same bits whatever shares its batch: every prefill "
                   "step has the widest's columns, and every step attends over the whole context");
}

int fail(const Error& error) {
  fmt::print(stderr, "continuo: {}\n", error.message);
  return kFailed;
}

void exit_on_hang(const std::string& what) {
  std::_Exit(fail({ErrorCode::kUnavailable, "the engine hangs: " + what}));
}

}  // namespace continuo::cli
