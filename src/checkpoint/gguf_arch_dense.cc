// Dense transformers whose tensors keep their values and change names only.
#include <array>

#include "checkpoint/gguf_arch.h"
#include "checkpoint/gguf_config.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

constexpr std::string_view kLayers = "model.layers.";

json window_or_null(GgufMetadata& metadata) {
  const int64_t window = metadata.integer("attention.sliding_window", 0);
  return window > 0 ? json(window) : json(nullptr);
}

// OLMo 3 is stored as olmo2 with a window.
constexpr std::array kPostNormRules = {
    NameRule{"post_attention_norm", "post_attention_layernorm"},
    NameRule{"post_ffw_norm", "post_feedforward_layernorm"},
};
void olmo2_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  if (!metadata.has("attention.sliding_window")) return;
  config["model_type"] = "olmo3";
  config["architectures"] = json::array({"Olmo3ForCausalLM"});
  config["sliding_window"] = window_or_null(metadata);
  config["layer_types"] = sliding_layer_types(metadata, 4);
}

void exaone4_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  config["sliding_window"] = window_or_null(metadata);
  config["layer_types"] = sliding_layer_types(metadata, config["sliding_window"].is_null() ? 1 : 4);
}

void cohere_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  config["layer_norm_eps"] = metadata.number("attention.layer_norm_epsilon");
  config["logit_scale"] = metadata.number("logit_scale", 1.0);
  config["use_qk_norm"] = metadata.any_layer_has("attn_q_norm.weight");
  config["rope_parameters"].erase("partial_rotary_factor");
}
// Every fourth layer is full (src/models/cohere2.cpp, set_swa_pattern(4)).
void cohere2_config(GgufMetadata& metadata, json& config) {
  cohere_config(metadata, config);
  config["sliding_window"] = window_or_null(metadata);
  config["layer_types"] = sliding_layer_types(metadata, 4);
}

constexpr std::array kFusedRules = {
    NameRule{"attn_qkv", "self_attn.qkv_proj"},
    NameRule{"ffn_up", "mlp.gate_up_proj"},
};
void phi3_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  config["sliding_window"] = window_or_null(metadata);
  config["original_max_position_embeddings"] =
      metadata.integer("rope.scaling.original_context_length", config["max_position_embeddings"]);
}

constexpr std::array kStableLmRules = {
    NameRule{"attn_q_norm.weight", "self_attn.q_layernorm.norms.{}.weight", How::kSlices},
    NameRule{"attn_k_norm.weight", "self_attn.k_layernorm.norms.{}.weight", How::kSlices},
};
void stablelm_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  config["layer_norm_eps"] = metadata.number("attention.layer_norm_epsilon");
  config["use_qkv_bias"] = config["attention_bias"];
  config["qk_layernorm"] = metadata.any_layer_has("attn_q_norm.weight");
  const bool parallel = !metadata.any_layer_has("ffn_norm.weight");
  config["use_parallel_residual"] = metadata.boolean("use_parallel_residual", parallel);
}

constexpr std::array kStarcoder2Rules = {
    NameRule{"ffn_up", "mlp.c_fc"},
    NameRule{"ffn_down", "mlp.c_proj"},
};
// The window of the smaller models is not in the file.
void starcoder2_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  config["norm_epsilon"] = metadata.number("attention.layer_norm_epsilon");
  config["hidden_act"] = "gelu_pytorch_tanh";
  config["use_bias"] = config["attention_bias"];
  config["sliding_window"] = nullptr;
}

constexpr std::array kSeedRules = {
    NameRule{"post_attention_norm", "post_attention_layernorm"},
};
void seed_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  config["attention_out_bias"] = metadata.any_layer_has("attn_output.bias");
}

constexpr std::array kGlm4Rules = {
    NameRule{"post_attention_norm", "post_self_attn_layernorm"},
    NameRule{"post_ffw_norm", "post_mlp_layernorm"},
    NameRule{"ffn_up", "mlp.gate_up_proj"},
};

constexpr std::span<const NameRule> kNoRules;
constexpr std::array kArchitectures = {
    GgufArchitecture{"olmo2", "olmo2", "Olmo2ForCausalLM", true, kLayers, kPostNormRules,
                     olmo2_config},
    GgufArchitecture{"exaone4", "exaone4", "Exaone4ForCausalLM", true, kLayers, kPostNormRules,
                     exaone4_config},
    GgufArchitecture{"command-r", "cohere", "CohereForCausalLM", true, kLayers, kNoRules,
                     cohere_config},
    GgufArchitecture{"cohere2", "cohere2", "Cohere2ForCausalLM", true, kLayers, kNoRules,
                     cohere2_config},
    GgufArchitecture{"phi3", "phi3", "Phi3ForCausalLM", true, kLayers, kFusedRules, phi3_config},
    GgufArchitecture{"stablelm", "stablelm", "StableLmForCausalLM", true, kLayers, kStableLmRules,
                     stablelm_config},
    GgufArchitecture{"starcoder2", "starcoder2", "Starcoder2ForCausalLM", true, kLayers,
                     kStarcoder2Rules, starcoder2_config},
    GgufArchitecture{"seed_oss", "seed_oss", "SeedOssForCausalLM", true, kLayers, kSeedRules,
                     seed_config},
    GgufArchitecture{"glm4", "glm4", "Glm4ForCausalLM", true, kLayers, kGlm4Rules,
                     transformer_config},
};

}  // namespace

std::span<const GgufArchitecture> gguf_dense_architectures() { return kArchitectures; }

}  // namespace continuo::checkpoint
