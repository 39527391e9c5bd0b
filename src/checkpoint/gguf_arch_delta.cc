// Delta-rule hybrids: Qwen3-Next, Qwen3.5, Kimi Linear.
#include <array>

#include "checkpoint/gguf_arch.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_mla.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

// Heads of the linear attention under the names that llama.cpp gives them.
struct DeltaHeads {
  int64_t keys, values, key_dim, value_dim;
  int64_t per_key() const { return values / keys; }
};
DeltaHeads delta_heads(GgufMetadata& metadata) {
  DeltaHeads heads{metadata.positive("ssm.group_count"), metadata.positive("ssm.time_step_rank"),
                   metadata.positive("ssm.state_size"), 1};
  heads.value_dim = metadata.positive("ssm.inner_size") / heads.values;
  if (heads.values % heads.keys != 0 || heads.value_dim == 0) {
    metadata.fail("the value heads are no multiple of the key heads");
    return {1, 1, 1, 1};
  }
  return heads;
}

constexpr std::array kNextRules = {
    NameRule{"output_norm", "model.norm", How::kMinus, 1.0},
    NameRule{"attn_norm", "input_layernorm", How::kMinus, 1.0},
    NameRule{"post_attention_norm", "post_attention_layernorm", How::kMinus, 1.0},
    NameRule{"attn_q_norm", "self_attn.q_norm", How::kMinus, 1.0},
    NameRule{"attn_k_norm", "self_attn.k_norm", How::kMinus, 1.0},
    NameRule{"attn_gate", "", How::kSkip},  // with attn_qkv
    NameRule{"ssm_in", "linear_attn.in_proj_qkvz"},
    NameRule{"ssm_ba", "linear_attn.in_proj_ba"},
    NameRule{"ssm_conv1d", "linear_attn.conv1d", How::kConv},
    NameRule{"ssm_dt.bias", "linear_attn.dt_bias"},
    NameRule{"ssm_a", "linear_attn.A_log", How::kLog},
    NameRule{"ssm_norm", "linear_attn.norm"},
    NameRule{"ssm_out", "linear_attn.out_proj"},
};

// attn_qkv [all q | all k | all v] and attn_gate become [q k v z] of each key head.
void map_qkvz(GgufMapper& mapper, const LayerTensor& part, const GgufTensor& gate) {
  const DeltaHeads heads = delta_heads(mapper.metadata());
  const Shape& shape = part.tensor.shape;
  const int64_t keys = heads.keys * heads.key_dim, values = heads.values * heads.value_dim;
  if (shape.rank() != 2 || shape[0] != 2 * keys + values || gate.shape != Shape{values, shape[1]}) {
    return mapper.metadata().fail(
        fmt::format("tensors '{}' {} and '{}' {} do not make {} key and "
                    "{} value heads",
                    part.tensor.name, shape, gate.name, gate.shape, heads.keys, heads.values));
  }
  const int64_t columns = shape[1];
  GgufPiece pieces[] = {mapper.piece(part.tensor, 0, keys * columns),
                        mapper.piece(part.tensor, keys * columns, keys * columns),
                        mapper.piece(part.tensor, 2 * keys * columns, values * columns),
                        mapper.piece(gate)};
  const int64_t stride = 2 * (keys + values) / heads.keys * columns;
  int64_t to = 0;
  for (GgufPiece& piece : pieces) {
    piece.chunk = piece.count / heads.keys;
    piece.stride = stride;
    piece.to = to;
    to += piece.chunk;
  }
  mapper.add(part.layer, "linear_attn.in_proj_qkvz.weight", Shape{2 * (keys + values), columns},
             {std::begin(pieces), std::end(pieces)});
}

bool map_next(GgufMapper& mapper, const LayerTensor& part) {
  if (part.suffix != "attn_qkv.weight") return false;
  const GgufTensor* gate = mapper.partner(part, "attn_gate.weight");
  if (gate != nullptr) map_qkvz(mapper, part, *gate);
  return true;
}

json linear_layer_types(GgufMetadata& metadata) {
  const bool listed = metadata.has("attention.recurrent_layers");
  const std::vector<int64_t> recurrent = metadata.per_layer("attention.recurrent_layers", 0);
  const int64_t interval = std::max<int64_t>(metadata.integer("full_attention_interval", 4), 1);
  json types = json::array();
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    const bool linear =
        listed ? recurrent[static_cast<size_t>(layer)] != 0 : (layer + 1) % interval != 0;
    types.push_back(linear ? "linear_attention" : "full_attention");
  }
  return types;
}

void delta_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  const DeltaHeads heads = delta_heads(metadata);
  config["layer_types"] = linear_layer_types(metadata);
  config["linear_conv_kernel_dim"] = metadata.positive("ssm.conv_kernel");
  config["linear_num_key_heads"] = heads.keys;
  config["linear_num_value_heads"] = heads.values;
  config["linear_key_head_dim"] = heads.key_dim;
  config["linear_value_head_dim"] = heads.value_dim;
}

void next_config(GgufMetadata& metadata, json& config) {
  delta_config(metadata, config);
  config["num_experts"] = metadata.positive("expert_count");
  config["num_experts_per_tok"] = metadata.positive("expert_used_count");
  config["moe_intermediate_size"] = metadata.positive("expert_feed_forward_length");
  config["shared_expert_intermediate_size"] =
      metadata.integer("expert_shared_feed_forward_length", 0);
  config["norm_topk_prob"] = metadata.boolean("expert_weights_norm", true);
  config["decoder_sparse_step"] = 1;
  config["mlp_only_layers"] = json::array();
}

constexpr std::array kQwen35Rules = {
    NameRule{"token_embd", "model.language_model.embed_tokens"},
    NameRule{"output_norm", "model.language_model.norm", How::kMinus, 1.0},
    NameRule{"attn_norm", "input_layernorm", How::kMinus, 1.0},
    NameRule{"post_attention_norm", "post_attention_layernorm", How::kMinus, 1.0},
    NameRule{"attn_q_norm", "self_attn.q_norm", How::kMinus, 1.0},
    NameRule{"attn_k_norm", "self_attn.k_norm", How::kMinus, 1.0},
    NameRule{"ssm_norm", "linear_attn.norm"},
};

// The converter turns value heads from grouped by key head to tiled, [per key, key heads]
// (conversion/qwen.py, _reorder_v_heads): seen so, the two axes change places again.
GgufPiece grouped(const DeltaHeads& heads, GgufPiece piece, int64_t inner) {
  piece.a = heads.per_key();
  piece.b = heads.keys;
  piece.inner = inner;
  return piece;
}

// The tensors whose rows are queries and keys as they are, then value heads.
void map_qkv_rows(GgufMapper& mapper, const LayerTensor& part, const DeltaHeads& heads,
                  std::string_view hf) {
  const Shape& shape = part.tensor.shape;
  const int64_t rows = shape[0], columns = shape.elements() / rows;
  const int64_t first = 2 * heads.keys * heads.key_dim;
  if (first >= rows) {
    return mapper.metadata().fail(
        fmt::format("tensor '{}' has {} rows, wanted more than {}", part.tensor.name, rows, first));
  }
  const int64_t count = (rows - first) * columns;
  GgufPiece values =
      grouped(heads, mapper.piece(part.tensor, first * columns, count), heads.value_dim * columns);
  values.to = first * columns;
  const bool conv = part.suffix.starts_with("ssm_conv1d");
  mapper.add(part.layer, hf, conv ? Shape{rows, 1, columns} : shape,
             {mapper.piece(part.tensor, 0, first * columns), values});
}

bool map_qwen35(GgufMapper& mapper, const LayerTensor& part) {
  const DeltaHeads heads = delta_heads(mapper.metadata());
  const GgufTensor& tensor = part.tensor;
  const int64_t columns = tensor.shape.elements() / tensor.shape[0];
  const auto whole = [&](std::string_view hf, int64_t inner, GgufFix fix = GgufFix::kNone) {
    mapper.add(part.layer, hf, tensor.shape, {grouped(heads, mapper.piece(tensor), inner)}, fix);
    return true;
  };
  if (part.suffix == "attn_qkv.weight") {
    map_qkv_rows(mapper, part, heads, "linear_attn.in_proj_qkv.weight");
    return true;
  }
  if (part.suffix == "ssm_conv1d.weight") {
    map_qkv_rows(mapper, part, heads, "linear_attn.conv1d.weight");
    return true;
  }
  if (part.suffix == "attn_gate.weight") {
    return whole("linear_attn.in_proj_z.weight", heads.value_dim * columns);
  }
  if (part.suffix == "ssm_alpha.weight") return whole("linear_attn.in_proj_a.weight", columns);
  if (part.suffix == "ssm_beta.weight") return whole("linear_attn.in_proj_b.weight", columns);
  if (part.suffix == "ssm_a") return whole("linear_attn.A_log", 1, GgufFix::kLogOfNegative);
  if (part.suffix == "ssm_dt.bias") return whole("linear_attn.dt_bias", 1);
  if (part.suffix == "ssm_out.weight") {
    return whole("linear_attn.out_proj.weight", heads.value_dim);
  }
  return false;
}

// The checkpoint is that of the vision model, its language part nested.
void qwen35_config(GgufMetadata& metadata, json& config) {
  json text;
  text["model_type"] = "qwen3_5_text";
  delta_config(metadata, text);
  const json* sections = metadata.file().find("qwen35.rope.dimension_sections");
  if (sections != nullptr && sections->is_array()) {
    json three = json::array();
    for (size_t i = 0; i < std::min<size_t>(sections->size(), 3); ++i) {
      three.push_back((*sections)[i]);
    }
    text["rope_parameters"]["mrope_section"] = std::move(three);
    text["rope_parameters"]["mrope_interleaved"] = true;
  }
  config["tie_word_embeddings"] = text["tie_word_embeddings"];
  config["text_config"] = std::move(text);
}

constexpr std::array kKimiRules = {
    NameRule{"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    NameRule{"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
    NameRule{"attn_kv_b", "self_attn.kv_b_proj"},
    NameRule{"ssm_f_a", "self_attn.f_a_proj"},
    NameRule{"ssm_f_b", "self_attn.f_b_proj"},
    NameRule{"ssm_g_a", "self_attn.g_a_proj"},
    NameRule{"ssm_g_b", "self_attn.g_b_proj"},
    NameRule{"ssm_beta", "self_attn.b_proj"},
    NameRule{"ssm_norm", "self_attn.o_norm"},
    NameRule{"ssm_dt.bias", "self_attn.dt_bias"},
    NameRule{"ssm_conv1d_q", "self_attn.q_conv1d", How::kConv},
    NameRule{"ssm_conv1d_k", "self_attn.k_conv1d", How::kConv},
    NameRule{"ssm_conv1d_v", "self_attn.v_conv1d", How::kConv},
    NameRule{"ffn_gate_inp", "block_sparse_moe.gate"},
    NameRule{"exp_probs_b.bias", "block_sparse_moe.gate.e_score_correction_bias"},
    NameRule{"ffn_gate_exps.weight", "block_sparse_moe.experts.{}.w1.weight", How::kSlices},
    NameRule{"ffn_down_exps.weight", "block_sparse_moe.experts.{}.w2.weight", How::kSlices},
    NameRule{"ffn_up_exps.weight", "block_sparse_moe.experts.{}.w3.weight", How::kSlices},
    NameRule{"ffn_gate_shexp", "block_sparse_moe.shared_experts.gate_proj"},
    NameRule{"ffn_up_shexp", "block_sparse_moe.shared_experts.up_proj"},
    NameRule{"ffn_down_shexp", "block_sparse_moe.shared_experts.down_proj"},
};

bool map_kimi(GgufMapper& mapper, const LayerTensor& part) {
  if (part.suffix != "ssm_a") return map_mla(mapper, part);
  mapper.add(part.layer, "self_attn.A_log", Shape{1, 1, part.tensor.shape.elements(), 1},
             {mapper.piece(part.tensor)}, GgufFix::kLogOfNegative);
  return true;
}

// The attention layers have no RoPE, and the chosen experts' weights are normalised
// (src/models/kimi-linear.cpp).
void kimi_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  mla_config(metadata, config);
  config.erase("rope_parameters");
  const int64_t dense = metadata.integer("leading_dense_block_count", 0);
  json types = json::array(), mlps = json::array();
  int64_t linear_heads = 0;
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    const GgufTensor* decay = metadata.layer_tensor(layer, "ssm_a");
    if (decay != nullptr) linear_heads = decay->shape.elements();
    types.push_back(decay != nullptr ? "linear_attention" : "full_attention");
    mlps.push_back(layer < dense ? "dense" : "sparse");
  }
  config["layer_types"] = std::move(types);
  config["mlp_layer_types"] = std::move(mlps);
  config["first_k_dense_replace"] = dense;
  config["linear_num_heads"] = linear_heads;
  config["linear_head_dim"] = metadata.positive("kda.head_dim");
  config["linear_conv_kernel_dim"] = metadata.positive("ssm.conv_kernel");
  config["head_dim"] = config["qk_rope_head_dim"];
  config["model_max_length"] = metadata.positive("context_length");
  config["num_experts"] = metadata.positive("expert_count");
  config["num_experts_per_token"] = metadata.positive("expert_used_count");
  config["num_shared_experts"] = metadata.integer("expert_shared_count", 0);
  config["num_expert_group"] = metadata.integer("expert_group_count", 1);
  config["topk_group"] = metadata.integer("expert_group_used_count", 1);
  config["moe_intermediate_size"] = metadata.positive("expert_feed_forward_length");
  config["routed_scaling_factor"] = metadata.number("expert_weights_scale", 1.0);
  config["moe_renormalize"] = metadata.boolean("expert_weights_norm", true);
}

constexpr std::array kArchitectures = {
    GgufArchitecture{"qwen3next", "qwen3_next", "Qwen3NextForCausalLM", true, "model.layers.",
                     kNextRules, next_config, map_next},
    GgufArchitecture{"qwen35", "qwen3_5", "Qwen3_5ForConditionalGeneration", true,
                     "model.language_model.layers.", kQwen35Rules, qwen35_config, map_qwen35},
    GgufArchitecture{"kimi-linear", "kimi_linear", "KimiLinearForCausalLM", true, "model.layers.",
                     kKimiRules, kimi_config, map_kimi},
};

}  // namespace

std::span<const GgufArchitecture> gguf_delta_architectures() { return kArchitectures; }

}  // namespace continuo::checkpoint
