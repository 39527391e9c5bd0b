// Qwen2 and 3, dense and MoE, and OLMoE: tensors as they are.
#include <array>

#include "checkpoint/gguf_arch.h"
#include "checkpoint/gguf_config.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

constexpr std::string_view kLayers = "model.layers.";

void qwen_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  json types = json::array();
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) types.push_back("full_attention");
  config["layer_types"] = std::move(types);
  config["use_sliding_window"] = false;
  config["sliding_window"] = nullptr;
}

// Whether the chosen experts' weights are scaled to sum to 1 is in llama.cpp's graphs, not in the
// file (src/models/qwen2moe.cpp, qwen3moe.cpp, olmoe.cpp: norm_w of build_moe_ffn).
void moe_config(GgufMetadata& metadata, json& config, bool normalised) {
  const int64_t experts = metadata.positive("expert_count");
  config["num_experts"] = config["num_local_experts"] = experts;
  config["num_experts_per_tok"] = metadata.positive("expert_used_count");
  config["norm_topk_prob"] = metadata.boolean("expert_weights_norm", normalised);
  config["decoder_sparse_step"] = 1;
  config["mlp_only_layers"] = json::array();
}

// The width of an expert's inner layer where the metadata does not name it.
int64_t expert_width(GgufMetadata& metadata) {
  if (metadata.has("expert_feed_forward_length")) {
    return metadata.positive("expert_feed_forward_length");
  }
  const GgufTensor* up = metadata.layer_tensor(0, "ffn_up_exps.weight");
  return up != nullptr && up->shape.rank() == 3 ? up->shape[1] : 0;
}

void qwen2moe_config(GgufMetadata& metadata, json& config) {
  qwen_config(metadata, config);
  moe_config(metadata, config, false);
  config["qkv_bias"] = config["attention_bias"];
  config["moe_intermediate_size"] = expert_width(metadata);
  config["shared_expert_intermediate_size"] =
      metadata.integer("expert_shared_feed_forward_length", config["intermediate_size"]);
}

void qwen3moe_config(GgufMetadata& metadata, json& config) {
  qwen_config(metadata, config);
  moe_config(metadata, config, true);
  config["moe_intermediate_size"] = expert_width(metadata);
}

void olmoe_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  moe_config(metadata, config, false);
  config["clip_qkv"] = nullptr;
  if (metadata.has("attention.clamp_kqv")) {
    config["clip_qkv"] = metadata.number("attention.clamp_kqv");
  }
}

constexpr std::span<const NameRule> kNoRules;
constexpr std::array kArchitectures = {
    GgufArchitecture{"qwen2", "qwen2", "Qwen2ForCausalLM", true, kLayers, kNoRules, qwen_config},
    GgufArchitecture{"qwen3", "qwen3", "Qwen3ForCausalLM", true, kLayers, kNoRules, qwen_config},
    GgufArchitecture{"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", true, kLayers, kNoRules,
                     qwen2moe_config},
    GgufArchitecture{"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", true, kLayers, kNoRules,
                     qwen3moe_config},
    GgufArchitecture{"olmoe", "olmoe", "OlmoeForCausalLM", true, kLayers, kNoRules, olmoe_config},
};

}  // namespace

std::span<const GgufArchitecture> gguf_qwen_architectures() { return kArchitectures; }

}  // namespace continuo::checkpoint
