// gpt-oss, and DeepSeek and MiniCPM3 with their latent attention.
#include <array>

#include "checkpoint/gguf_arch.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_mla.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

constexpr std::string_view kLayers = "model.layers.";

constexpr std::array kGptOssRules = {
    NameRule{"post_attention_norm", "post_attention_layernorm"},
    NameRule{"attn_sinks.weight", "self_attn.sinks"},
    NameRule{"ffn_gate_inp", "mlp.router"},
    NameRule{"ffn_down_exps.bias", "mlp.experts.down_proj_bias"},
    NameRule{"ffn_up_exps", "", How::kSkip},  // with ffn_gate_exps
};

// The clamp and alpha of the activation and the unrounded YaRN ramp are in llama.cpp's graphs, not
// in the file (src/models/openai-moe.cpp; ggml's swiglu_oai).
void gpt_oss_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  config["num_local_experts"] = metadata.positive("expert_count");
  config["num_experts_per_tok"] = metadata.positive("expert_used_count");
  config["intermediate_size"] = metadata.positive("expert_feed_forward_length");
  config["sliding_window"] = metadata.integer("attention.sliding_window", 128);
  config["layer_types"] = sliding_layer_types(metadata, 2);
  config["swiglu_limit"] = 7.0;
  config["swiglu_alpha"] = 1.702;
  if (config["rope_parameters"]["rope_type"] == "yarn") {
    config["rope_parameters"]["truncate"] = false;
  }
}

// [experts, out, in] as [experts, in, out].
GgufPiece transposed(const GgufMapper& mapper, const GgufTensor& tensor) {
  GgufPiece piece = mapper.piece(tensor);
  piece.a = tensor.shape[1];
  piece.b = tensor.shape[2];
  return piece;
}

// gate and up become alternate columns of gate_up_proj (conversion/gpt_oss.py splits them).
void map_gpt_oss_gate_up(GgufMapper& mapper, const LayerTensor& part, const GgufTensor& up) {
  const Shape& shape = part.tensor.shape;
  if (up.shape != shape || shape.rank() < 2 || shape.rank() > 3) {
    return mapper.metadata().fail(fmt::format("tensors '{}' {} and '{}' {} do not interleave",
                                              part.tensor.name, shape, up.name, up.shape));
  }
  const bool bias = shape.rank() == 2;
  GgufPiece gate = bias ? mapper.piece(part.tensor) : transposed(mapper, part.tensor);
  GgufPiece other = bias ? mapper.piece(up) : transposed(mapper, up);
  gate.chunk = other.chunk = other.to = 1;
  gate.stride = other.stride = 2;
  if (bias) {
    mapper.add(part.layer, "mlp.experts.gate_up_proj_bias", Shape{shape[0], 2 * shape[1]},
               {gate, other});
  } else {
    mapper.add(part.layer, "mlp.experts.gate_up_proj", Shape{shape[0], shape[2], 2 * shape[1]},
               {gate, other});
  }
}

bool map_gpt_oss(GgufMapper& mapper, const LayerTensor& part) {
  if (part.suffix == "ffn_down_exps.weight" && part.tensor.shape.rank() == 3) {
    const Shape& shape = part.tensor.shape;
    mapper.add(part.layer, "mlp.experts.down_proj", Shape{shape[0], shape[2], shape[1]},
               {transposed(mapper, part.tensor)});
    return true;
  }
  const bool weight = part.suffix == "ffn_gate_exps.weight";
  if (!weight && part.suffix != "ffn_gate_exps.bias") return false;
  const GgufTensor* up = mapper.partner(part, weight ? "ffn_up_exps.weight" : "ffn_up_exps.bias");
  if (up != nullptr) map_gpt_oss_gate_up(mapper, part, *up);
  return true;
}

constexpr std::array kDeepseekRules = {
    NameRule{"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"},
    NameRule{"exp_probs_b", "mlp.gate.e_score_correction_bias"},
    NameRule{"ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
    NameRule{"ffn_up_shexp", "mlp.shared_experts.up_proj"},
    NameRule{"ffn_down_shexp", "mlp.shared_experts.down_proj"},
    NameRule{"attn_q_a", "self_attn.q_a_proj"},
    NameRule{"attn_q_b", "self_attn.q_b_proj"},
    NameRule{"attn_q_a_norm", "self_attn.q_a_layernorm"},
    NameRule{"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    NameRule{"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
    NameRule{"attn_kv_b", "self_attn.kv_b_proj"},
};

// GGUF holds 0.1 * mscale_all_dim; mscale itself is not there, published models have both alike.
void deepseek_rope(GgufMetadata& metadata, json& config) {
  const int64_t dim = config["qk_rope_head_dim"];
  json rope = rope_parameters(metadata, dim);
  if (rope["rope_type"] == "yarn" && metadata.has("rope.scaling.yarn_log_multiplier")) {
    const double all = metadata.number("rope.scaling.yarn_log_multiplier") * 10;
    rope["mscale"] = rope["mscale_all_dim"] = shortest_decimal(static_cast<float>(all));
  }
  config["rope_parameters"] = std::move(rope);
  config["rope_interleave"] = true;
  config["head_dim"] = dim;
}

void deepseek_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  mla_config(metadata, config);
  deepseek_rope(metadata, config);
  config["first_k_dense_replace"] = metadata.integer("leading_dense_block_count", 0);
  config["moe_intermediate_size"] = metadata.integer("expert_feed_forward_length", 0);
  config["n_routed_experts"] = metadata.integer("expert_count", 0);
  config["num_experts_per_tok"] = metadata.integer("expert_used_count", 0);
  config["n_shared_experts"] = metadata.integer("expert_shared_count", 0);
  config["n_group"] = metadata.integer("expert_group_count", 1);
  config["topk_group"] = metadata.integer("expert_group_used_count", 1);
  config["routed_scaling_factor"] = metadata.number("expert_weights_scale", 1.0);
  config["norm_topk_prob"] = metadata.boolean("expert_weights_norm", false);
  // DeepSeek-V2 is stored the same but for the gate: softmax, without a correction bias.
  constexpr int64_t kSigmoid = 2;
  if (metadata.integer("expert_gating_func", 0) == kSigmoid ||
      metadata.any_layer_has("exp_probs_b.bias") || metadata.any_layer_has("exp_probs_b")) {
    return;
  }
  config["model_type"] = "deepseek_v2";
  config["architectures"] = json::array({"DeepseekV2ForCausalLM"});
}

// The three scales are constants of llama.cpp's loader (src/models/minicpm3.cpp), not of the file.
void minicpm3_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  mla_config(metadata, config);
  config["rope_parameters"] = rope_parameters(metadata, config["qk_rope_head_dim"]);
  config["head_dim"] = config["qk_rope_head_dim"];
  config["scale_emb"] = 12;
  config["scale_depth"] = 1.4;
  config["dim_model_base"] = 256;
  config["original_max_position_embeddings"] =
      metadata.integer("rope.scaling.original_context_length", config["max_position_embeddings"]);
}

constexpr std::array kArchitectures = {
    GgufArchitecture{"gpt-oss", "gpt_oss", "GptOssForCausalLM", true, kLayers, kGptOssRules,
                     gpt_oss_config, map_gpt_oss},
    GgufArchitecture{"deepseek2", "deepseek_v3", "DeepseekV3ForCausalLM", true, kLayers,
                     kDeepseekRules, deepseek_config, map_mla},
    GgufArchitecture{"minicpm3", "minicpm3", "MiniCPM3ForCausalLM", true, kLayers, kDeepseekRules,
                     minicpm3_config, map_mla},
};

}  // namespace

void mla_config(GgufMetadata& metadata, json& config) {
  const int64_t heads = metadata.positive("attention.head_count");
  const int64_t rope = metadata.positive("rope.dimension_count");
  const int64_t rank = metadata.positive("attention.kv_lora_rank");
  const int64_t key = metadata.has("attention.key_length_mla")
                          ? metadata.positive("attention.key_length_mla")
                          : metadata.positive("attention.key_length");
  int64_t value = metadata.integer("attention.value_length_mla", 0);
  for (int64_t layer = 0; value == 0 && layer < metadata.layers(); ++layer) {
    const GgufTensor* both = metadata.layer_tensor(layer, "attn_kv_b.weight");
    if (both != nullptr) value = both->shape[0] / heads - (key - rope);
  }
  if (key <= rope || value <= 0) metadata.fail("the sizes of the latent attention contradict");
  config["kv_lora_rank"] = rank;
  config["q_lora_rank"] = nullptr;
  if (metadata.has("attention.q_lora_rank")) {
    config["q_lora_rank"] = metadata.positive("attention.q_lora_rank");
  }
  config["qk_rope_head_dim"] = rope;
  config["qk_nope_head_dim"] = key - rope;
  config["qk_head_dim"] = key;
  config["v_head_dim"] = value;
  config["num_key_value_heads"] = heads;
}

bool map_mla(GgufMapper& mapper, const LayerTensor& part) {
  if (part.suffix == "attn_v_b.weight") return true;  // with attn_k_b
  if (part.suffix != "attn_k_b.weight") return false;
  const GgufTensor* value = mapper.partner(part, "attn_v_b.weight");
  if (value == nullptr) return true;
  const Shape& k = part.tensor.shape;
  const Shape& v = value->shape;
  if (k.rank() != 3 || v.rank() != 3 || k[0] != v[0] || k[1] != v[2]) {
    mapper.metadata().fail(fmt::format("tensors '{}' {} and '{}' {} do not make kv_b_proj",
                                       part.tensor.name, k, value->name, v));
    return true;
  }
  GgufPiece keys = mapper.piece(part.tensor), values = mapper.piece(*value);
  keys.a = k[1];
  keys.b = k[2];
  keys.chunk = values.to = k[1] * k[2];
  values.chunk = v[1] * v[2];
  keys.stride = values.stride = keys.chunk + values.chunk;
  mapper.add(part.layer, "self_attn.kv_b_proj.weight", Shape{k[0] * (k[2] + v[1]), k[1]},
             {keys, values});
  return true;
}

std::span<const GgufArchitecture> gguf_moe_architectures() { return kArchitectures; }

}  // namespace continuo::checkpoint
