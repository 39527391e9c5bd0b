// Gemma 1 to 3: the converter adds 1 to every norm (conversion/gemma.py).
#include <array>

#include "checkpoint/gguf_arch.h"
#include "checkpoint/gguf_config.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

constexpr std::string_view kLayers = "model.layers.";

constexpr std::array kGemmaRules = {
    NameRule{"output_norm", "model.norm", How::kMinus, 1.0},
    NameRule{"attn_norm", "input_layernorm", How::kMinus, 1.0},
    NameRule{"ffn_norm", "post_attention_layernorm", How::kMinus, 1.0},
};
constexpr std::array kGemma2Rules = {
    NameRule{"output_norm", "model.norm", How::kMinus, 1.0},
    NameRule{"attn_norm", "input_layernorm", How::kMinus, 1.0},
    NameRule{"post_attention_norm", "post_attention_layernorm", How::kMinus, 1.0},
    NameRule{"ffn_norm", "pre_feedforward_layernorm", How::kMinus, 1.0},
    NameRule{"post_ffw_norm", "post_feedforward_layernorm", How::kMinus, 1.0},
    NameRule{"attn_q_norm", "self_attn.q_norm", How::kMinus, 1.0},
    NameRule{"attn_k_norm", "self_attn.k_norm", How::kMinus, 1.0},
};

void gemma_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  config["hidden_act"] = config["hidden_activation"] = "gelu_pytorch_tanh";
}

json optional_number(GgufMetadata& metadata, std::string_view key) {
  return metadata.has(key) ? json(metadata.number(key)) : json(nullptr);
}

// The attention scale is in llama.cpp's loader, not in the file: head_dim, except for the 27B
// models (told by their layers: src/models/gemma2.cpp and gemma3.cpp, f_attention_scale).
int64_t query_scalar(GgufMetadata& metadata, int64_t layers_of_27b) {
  if (metadata.layers() != layers_of_27b) return head_dim(metadata);
  return metadata.positive("embedding_length") / metadata.positive("attention.head_count");
}

void gemma2_config(GgufMetadata& metadata, json& config) {
  gemma_config(metadata, config);
  config["attn_logit_softcapping"] = metadata.number("attn_logit_softcapping", 50.0);
  config["final_logit_softcapping"] = metadata.number("final_logit_softcapping", 30.0);
  config["sliding_window"] = metadata.integer("attention.sliding_window", 4096);
  config["layer_types"] = sliding_layer_types(metadata, 2);
  config["query_pre_attn_scalar"] = query_scalar(metadata, 46);
}

void gemma3_config(GgufMetadata& metadata, json& config) {
  gemma_config(metadata, config);
  config["attn_logit_softcapping"] = nullptr;
  config["final_logit_softcapping"] = optional_number(metadata, "final_logit_softcapping");
  config["query_pre_attn_scalar"] = query_scalar(metadata, 62);
  const int64_t window = metadata.integer("attention.sliding_window", 0);
  config["sliding_window"] = window;
  config["layer_types"] = sliding_layer_types(metadata, window > 0 ? 6 : 1);
  config["use_bidirectional_attention"] = false;
  json local = {{"rope_type", "default"},
                {"rope_theta", metadata.number("rope.freq_base_swa", 10000.0)}};
  config["rope_parameters"] = {{"full_attention", config["rope_parameters"]},
                               {"sliding_attention", std::move(local)}};
}

constexpr std::array kArchitectures = {
    GgufArchitecture{"gemma", "gemma", "GemmaForCausalLM", true, kLayers, kGemmaRules,
                     gemma_config},
    GgufArchitecture{"gemma2", "gemma2", "Gemma2ForCausalLM", true, kLayers, kGemma2Rules,
                     gemma2_config},
    GgufArchitecture{"gemma3", "gemma3_text", "Gemma3ForCausalLM", true, kLayers, kGemma2Rules,
                     gemma3_config},
};

}  // namespace

std::span<const GgufArchitecture> gguf_gemma_architectures() { return kArchitectures; }

}  // namespace continuo::checkpoint
