#include "engine/synthetic.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "models/registry.h"

namespace continuo::engine {
namespace {

using nlohmann::json;

// config.json of published shapes; the keys that the family reads.
const std::map<std::string, const char*>& shapes() {
  static const std::map<std::string, const char*> kShapes{
      {"llama-3.2-1b", R"({"model_type": "llama", "vocab_size": 128256, "hidden_size": 2048,
        "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
        "intermediate_size": 8192, "rms_norm_eps": 1e-5, "rope_theta": 500000,
        "max_position_embeddings": 131072, "tie_word_embeddings": true})"},
      {"llama-160m", R"({"model_type": "llama", "vocab_size": 32000, "hidden_size": 768,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 4, "head_dim": 64,
        "intermediate_size": 3072, "rms_norm_eps": 1e-5, "max_position_embeddings": 32768,
        "tie_word_embeddings": true})"},
      {"mamba2-130m", R"({"model_type": "mamba2", "vocab_size": 50288, "hidden_size": 768,
        "num_hidden_layers": 24, "state_size": 128, "expand": 2, "head_dim": 64, "num_heads": 24,
        "n_groups": 1, "conv_kernel": 4, "chunk_size": 256, "use_bias": false, "use_conv_bias": true,
        "rms_norm": true, "tie_word_embeddings": true, "layer_norm_epsilon": 1e-5})"},
      {"mamba2-1.3b", R"({"model_type": "mamba2", "vocab_size": 50288, "hidden_size": 2048,
        "num_hidden_layers": 48, "state_size": 128, "expand": 2, "head_dim": 64, "num_heads": 64,
        "n_groups": 1, "conv_kernel": 4, "chunk_size": 256, "use_bias": false, "use_conv_bias": true,
        "rms_norm": true, "tie_word_embeddings": true, "layer_norm_epsilon": 1e-5})"},
      {"jamba-tiny", R"({"model_type": "jamba", "vocab_size": 65536, "hidden_size": 512,
        "num_hidden_layers": 8, "num_attention_heads": 16, "num_key_value_heads": 4,
        "intermediate_size": 1536, "attn_layer_period": 8, "attn_layer_offset": 4,
        "expert_layer_period": 2, "expert_layer_offset": 1, "num_experts": 8, "num_experts_per_tok": 2,
        "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_dt_rank": 32,
        "mamba_conv_bias": true, "mamba_proj_bias": false, "hidden_act": "silu",
        "rms_norm_eps": 1e-6, "max_position_embeddings": 262144, "tie_word_embeddings": true})"},
      {"falcon-h1-150m", R"({"model_type": "falcon_h1", "vocab_size": 32784, "hidden_size": 768,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 4, "head_dim": 64,
        "intermediate_size": 1536, "mamba_d_ssm": 1536, "mamba_n_heads": 24, "mamba_d_head": 64,
        "mamba_n_groups": 1, "mamba_d_state": 128, "mamba_d_conv": 4, "mamba_expand": 2,
        "mamba_chunk_size": 256, "mamba_conv_bias": true, "mamba_proj_bias": false,
        "mamba_rms_norm": false, "rope_theta": 1e11, "max_position_embeddings": 131072,
        "tie_word_embeddings": true})"},
      {"qwen3-next-150m", R"({"model_type": "qwen3_next", "vocab_size": 32000, "hidden_size": 768,
        "num_hidden_layers": 12, "num_attention_heads": 12, "num_key_value_heads": 2, "head_dim": 64,
        "intermediate_size": 2048, "linear_num_key_heads": 8, "linear_num_value_heads": 16,
        "linear_key_head_dim": 96, "linear_value_head_dim": 96, "linear_conv_kernel_dim": 4,
        "full_attention_interval": 4, "partial_rotary_factor": 0.25, "num_experts": 0,
        "decoder_sparse_step": 1, "mlp_only_layers": [0,1,2,3,4,5,6,7,8,9,10,11],
        "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, "num_experts_per_tok": 1,
        "rms_norm_eps": 1e-6, "max_position_embeddings": 262144, "tie_word_embeddings": true})"},
  };
  return kShapes;
}

// Tensors by the specs of a written graph; elements are a hash of name and place.
class SyntheticSource : public checkpoint::TensorSource {
 public:
  explicit SyntheticSource(const std::vector<ops::WeightSpec>& specs) {
    for (const ops::WeightSpec& spec : specs)
      for (const std::string& name : spec.sources)
        tensors_.push_back({name, spec.source_shape, DType::kF32, checkpoint::Encoding::kPlain});
    std::sort(tensors_.begin(), tensors_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
  }
  const std::vector<checkpoint::TensorInfo>& tensors() const override { return tensors_; }
  Status read_f32(const checkpoint::TensorInfo& tensor, std::span<float> out) const override {
    uint64_t state = std::hash<std::string>{}(tensor.name) | 1;
    const Shape& shape = tensor.shape;
    // Norm weights and their like are near 1; matrices keep the size of what goes through them.
    const bool vector = shape.rank() <= 1;
    const float centre = vector ? 1.0f : 0.0f;
    const float spread = vector ? 0.1f : 1.7f / std::sqrt(float(shape[shape.rank() - 1]));
    for (float& value : out) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      value = centre + spread * (float(int32_t(state >> 32)) * 0x1p-31f);
    }
    return ok_status();
  }
  std::optional<HostView> plain(const checkpoint::TensorInfo&) const override {
    return std::nullopt;
  }
  std::optional<checkpoint::QuantizedTensor> quantized(
      const checkpoint::TensorInfo&) const override {
    return std::nullopt;
  }
  void release(const checkpoint::TensorInfo&) const override {}
  std::string location(const checkpoint::TensorInfo&) const override { return "synthetic"; }

 private:
  std::vector<checkpoint::TensorInfo> tensors_;
};

}  // namespace

std::vector<std::string> synthetic_names() {
  std::vector<std::string> names;
  for (const auto& [name, config] : shapes()) names.push_back(name);
  return names;
}

Result<std::unique_ptr<LoadedModel>> load_synthetic(const LoadOptions& options) {
  const auto place = shapes().find(options.model);
  if (place == shapes().end()) {
    std::string known;
    for (const std::string& name : synthetic_names()) known += (known.empty() ? "" : ", ") + name;
    return error(ErrorCode::kInvalidArgument, "synthetic: wanted one of {}, got {}", known,
                 options.model);
  }
  auto loaded = std::make_unique<LoadedModel>();
  loaded->checkpoint.path = options.model;
  loaded->checkpoint.format = "synthetic";
  loaded->checkpoint.config = json::parse(place->second);
  // Optional tensors (biases a checkpoint may have) are absent.
  CONTINUO_TRY(loaded->model, models::create(
                                  loaded->checkpoint.config,
                                  [](const std::string&) { return false; }, options.model));
  CONTINUO_TRY(loaded->executor, runtime::open_executor(options.executor));
  CONTINUO_TRY(loaded->target,
               target_for(loaded->executor->target(), options.dtype, options.attention));
  CONTINUO_TRY(const models::StepGraph step,
               models::write_step(*loaded->model, {1, 1, 1, 16}, loaded->target));
  loaded->checkpoint.tensors = std::make_unique<SyntheticSource>(step.weights);
  loaded->cache = std::make_unique<CompileCache>(CompileCacheOptions{options.cache_dir});
  CONTINUO_RETURN_IF_ERROR(loaded->cache->check_named());
  loaded->weights = std::make_unique<Weights>(*loaded->executor, *loaded->checkpoint.tensors);
  return loaded;
}

}  // namespace continuo::engine
