// llama and its relatives, whose query and key rows the converter permutes.
#include <array>
#include <cmath>

#include "checkpoint/gguf_arch.h"
#include "checkpoint/gguf_config.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

constexpr std::string_view kLayers = "model.layers.";

constexpr std::array kLlamaRules = {
    NameRule{"attn_q", "self_attn.q_proj", How::kQueryRows},
    NameRule{"attn_k", "self_attn.k_proj", How::kKeyRows},
    // Mixtral
    NameRule{"ffn_gate_inp", "block_sparse_moe.gate"},
    NameRule{"ffn_gate_exps.weight", "block_sparse_moe.experts.{}.w1.weight", How::kSlices},
    NameRule{"ffn_down_exps.weight", "block_sparse_moe.experts.{}.w2.weight", How::kSlices},
    NameRule{"ffn_up_exps.weight", "block_sparse_moe.experts.{}.w3.weight", How::kSlices},
};

// Mistral and InternLM3 are stored as llama and cannot be told from it: Mistral's window is lost.
void llama_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  const int64_t experts = metadata.integer("expert_count", 0);
  if (experts == 0) return;
  config["model_type"] = "mixtral";
  config["architectures"] = json::array({"MixtralForCausalLM"});
  config["num_local_experts"] = experts;
  config["num_experts_per_tok"] = metadata.positive("expert_used_count");
  config["sliding_window"] = nullptr;
}

// Every fourth layer has no RoPE (src/models/smollm3.cpp, n_no_rope_layer_step).
void smollm3_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  json with_rope = json::array(), types = json::array();
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    with_rope.push_back((layer + 1) % 4 != 0 ? 1 : 0);
    types.push_back("full_attention");
  }
  config["no_rope_layers"] = std::move(with_rope);
  config["no_rope_layer_interval"] = 4;
  config["layer_types"] = std::move(types);
  config["use_sliding_window"] = false;
  config["sliding_window"] = nullptr;
}

void granite_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  const int64_t dim = head_dim(metadata);
  config["attention_multiplier"] =
      metadata.number("attention.scale", 1 / std::sqrt(static_cast<double>(dim)));
  config["embedding_multiplier"] = metadata.number("embedding_scale", 1.0);
  config["residual_multiplier"] = metadata.number("residual_scale", 1.0);
  config["logits_scaling"] = metadata.number("logit_scale", 1.0);
}

constexpr std::array kArchitectures = {
    GgufArchitecture{"llama", "llama", "LlamaForCausalLM", true, kLayers, kLlamaRules,
                     llama_config},
    GgufArchitecture{"smollm3", "smollm3", "SmolLM3ForCausalLM", true, kLayers, kLlamaRules,
                     smollm3_config},
    GgufArchitecture{"granite", "granite", "GraniteForCausalLM", true, kLayers, kLlamaRules,
                     granite_config},
};

}  // namespace

std::span<const GgufArchitecture> gguf_llama_architectures() { return kArchitectures; }

}  // namespace continuo::checkpoint
