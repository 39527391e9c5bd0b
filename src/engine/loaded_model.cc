#include "engine/loaded_model.h"

#include "models/registry.h"

namespace continuo::engine {

Result<graph::Target> target_for(graph::Target target, const std::string& dtype) {
  if (dtype == "f32") {
    target.weights = target.kv = DType::kF32;
    target.exact_dots = true;  // true float32, also where the device would rather use TF32
  } else if (dtype == "bf16") {
    target.weights = target.kv = DType::kBF16;
  } else if (dtype != "auto") {
    return error(ErrorCode::kInvalidArgument, "dtype: wanted auto, f32 or bf16, got {}", dtype);
  }
  return target;
}

Result<std::unique_ptr<models::Model>> make_model(const checkpoint::Checkpoint& checkpoint) {
  const checkpoint::TensorSource* source = checkpoint.tensors.get();
  return models::create(
      checkpoint.config,
      [source](const std::string& name) {
        return source != nullptr && source->find(name) != nullptr;
      },
      checkpoint.path);
}

namespace {

// The checkpoint before the device: its errors are the likelier ones, and cost nothing.
Result<std::unique_ptr<LoadedModel>> open_checkpoint(const LoadOptions& options) {
  auto loaded = std::make_unique<LoadedModel>();
  CONTINUO_TRY(loaded->checkpoint, checkpoint::open(options.model, {options.config_file, true}));
  CONTINUO_TRY(loaded->model, make_model(loaded->checkpoint));
  return loaded;
}

}  // namespace

Result<std::unique_ptr<LoadedModel>> load_model(const LoadOptions& options) {
  CONTINUO_TRY(auto loaded, open_checkpoint(options));
  CONTINUO_TRY(loaded->executor, runtime::open_executor(options.executor));
  CONTINUO_TRY(loaded->target, target_for(loaded->executor->target(), options.dtype));
  loaded->cache = std::make_unique<CompileCache>(CompileCacheOptions{options.cache_dir});
  loaded->weights = std::make_unique<Weights>(*loaded->executor, *loaded->checkpoint.tensors);
  return loaded;
}

}  // namespace continuo::engine
