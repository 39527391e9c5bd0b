#include "engine/loaded_model.h"

#include "base/text_config.h"
#include "engine/own_head.h"
#include "models/registry.h"

namespace continuo::engine {

namespace {

// Positions of a block of the loop: some megabytes of scores, and few turns.
constexpr int64_t kLoopBlock = 512;

Status choose_attention(graph::Target& target, const std::string& attention) {
  if (attention == "auto") return ok_status();
  if (attention != "bucket" && attention != "loop")
    return error(ErrorCode::kInvalidArgument, "attention: wanted auto, bucket or loop, got {}",
                 attention);
  std::erase(target.kernels, "continuo.attention");
  if (attention == "loop") target.attention_block = kLoopBlock;
  return ok_status();
}

}  // namespace

Result<graph::Target> target_for(graph::Target target, const std::string& dtype,
                                 const std::string& attention) {
  CONTINUO_RETURN_IF_ERROR(choose_attention(target, attention));
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

StepLimits step_limits(const LoadedModel& model, int64_t context) {
  StepLimits limits{model.target.prefill_columns, model.target.attends_in_place()};
  const int64_t memory = model.executor->info().memory_bytes;
  if (limits.attends_in_place || memory == 0) return limits;
  // Heads are at least 64 wide almost everywhere; scores may take a sixteenth of the memory.
  const int64_t heads = std::max<int64_t>(1, model.model->facts().hidden / 64);
  const int64_t a_column = heads * context * int64_t{sizeof(float)};
  while (limits.columns > 256 && limits.columns * a_column > memory / 16) limits.columns /= 2;
  return limits;
}

namespace {

// In both spellings of the key, of the model and of a text model in it.
void untie(nlohmann::json& config) {
  if (!config.is_object()) return;
  config["tie_word_embeddings"] = config["tie_embedding"] = false;
  if (const char* key = text_config_key(config)) untie(config[key]);
}

}  // namespace

Result<std::unique_ptr<models::Model>> make_model(const checkpoint::Checkpoint& checkpoint) {
  const checkpoint::TensorSource* source = checkpoint.tensors.get();
  const models::HasTensor has = [source](const std::string& name) {
    return source != nullptr && source->find(name) != nullptr;
  };
  CONTINUO_TRY(auto model, models::create(checkpoint.config, has, checkpoint.path));
  if (source == nullptr || !model->tied() || !has_own_head(*source, *model)) return model;
  nlohmann::json config = checkpoint.config;
  untie(config);
  return models::create(config, has, checkpoint.path);
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
  CONTINUO_TRY(loaded->target,
               target_for(loaded->executor->target(), options.dtype, options.attention));
  loaded->cache = std::make_unique<CompileCache>(CompileCacheOptions{options.cache_dir});
  CONTINUO_RETURN_IF_ERROR(loaded->cache->check_named());
  loaded->weights = std::make_unique<Weights>(*loaded->executor, *loaded->checkpoint.tensors);
  return loaded;
}

}  // namespace continuo::engine
