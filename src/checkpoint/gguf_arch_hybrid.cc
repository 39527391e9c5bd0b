// Hybrids of Mamba-2 and attention: Granite 4 and Bamba, Nemotron-H, PLaMo 2.
#include <array>
#include <cmath>

#include "checkpoint/gguf_arch.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_ssm.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

bool has_layer(GgufMetadata& metadata, int64_t layer, std::string_view suffix) {
  return metadata.layer_tensor(layer, suffix) != nullptr;
}

// Mixer names of transformers 5.
json mixer_types(GgufMetadata& metadata) {
  json types = json::array();
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    const bool recurrent = has_layer(metadata, layer, "ssm_in.weight");
    types.push_back(recurrent ? "linear_attention" : "full_attention");
  }
  return types;
}

// Bamba is stored as granitehybrid too, without Granite's scales.
bool is_bamba(GgufMetadata& metadata) { return !metadata.has("embedding_scale"); }

constexpr std::array kGraniteRules = {
    NameRule{"attn_q", "self_attn.q_proj", How::kQueryRows},
    NameRule{"attn_k", "self_attn.k_proj", How::kKeyRows},
    NameRule{"ffn_gate_inp", "block_sparse_moe.router.layer"},
    NameRule{"ffn_down_exps", "block_sparse_moe.output_linear"},
    NameRule{"ffn_down_shexp", "shared_mlp.output_linear"},
    NameRule{"ffn_up_exps", "", How::kSkip},   // with ffn_gate_exps
    NameRule{"ffn_up_shexp", "", How::kSkip},  // with ffn_gate_shexp
};

// What Granite and Bamba spell differently; true where mapped.
bool map_bamba(GgufMapper& mapper, const LayerTensor& part) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"output_norm.weight", "model.final_layernorm.weight"},
      {"ffn_norm.weight", "pre_ff_layernorm.weight"},
      {"ffn_gate.weight", "feed_forward.gate_proj.weight"},
      {"ffn_up.weight", "feed_forward.up_proj.weight"},
      {"ffn_down.weight", "feed_forward.down_proj.weight"},
  };
  for (const auto& [gguf, hf] : kNames) {
    if (part.suffix != gguf) continue;
    mapper.add(part.layer, hf, part.tensor.shape, {mapper.piece(part.tensor)});
    return true;
  }
  return false;
}

bool map_granite(GgufMapper& mapper, const LayerTensor& part) {
  if (is_bamba(mapper.metadata())) return map_bamba(mapper, part);
  constexpr std::array<std::string_view, 3> kPairs[] = {
      {"ffn_gate_exps.weight", "ffn_up_exps.weight", "block_sparse_moe.input_linear.weight"},
      {"ffn_gate_shexp.weight", "ffn_up_shexp.weight", "shared_mlp.input_linear.weight"},
      {"ffn_gate.weight", "ffn_up.weight", "shared_mlp.input_linear.weight"},
  };
  for (const auto& [gate, up, hf] : kPairs) {
    if (part.suffix != gate) continue;
    const GgufTensor* other = mapper.partner(part, up);
    if (other != nullptr) mapper.add_stacked(part.layer, hf, part.tensor, *other);
    return true;
  }
  if (part.suffix == "ffn_up.weight") return true;  // with ffn_gate
  if (part.suffix != "ffn_down.weight") return false;
  mapper.add(part.layer, "shared_mlp.output_linear.weight", part.tensor.shape,
             {mapper.piece(part.tensor)});
  return true;
}

void bamba_config(GgufMetadata& metadata, json& config) {
  config["model_type"] = "bamba";
  config["architectures"] = json::array({"BambaForCausalLM"});
  json attention = json::array();
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    if (!has_layer(metadata, layer, "ssm_in.weight")) attention.push_back(layer);
  }
  config["attn_layer_indices"] = std::move(attention);
  config["rope_parameters"]["partial_rotary_factor"] = 0.5;  // modeling_bamba.py, always
}

void granite_hybrid_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  mamba2_mixer_config(metadata, config);
  config["rope_parameters"].erase("partial_rotary_factor");
  if (is_bamba(metadata)) return bamba_config(metadata, config);
  config["layer_types"] = mixer_types(metadata);
  config["num_local_experts"] = metadata.integer("expert_count", 0);
  config["num_experts_per_tok"] = metadata.integer("expert_used_count", 0);
  config["shared_intermediate_size"] = metadata.integer("expert_shared_feed_forward_length",
                                                        metadata.integer("feed_forward_length", 0));
  config["embedding_multiplier"] = metadata.number("embedding_scale");
  config["residual_multiplier"] = metadata.number("residual_scale", 1.0);
  config["logits_scaling"] = metadata.number("logit_scale", 1.0);
  config["attention_multiplier"] = metadata.number("attention.scale", 1.0);
  const bool rope = metadata.boolean("rope.scaling.finetuned", false);
  config["position_embedding_type"] = rope ? "rope" : "nope";
}

constexpr std::array kNemotronRules = {
    NameRule{"token_embd", "backbone.embeddings"},
    NameRule{"output_norm", "backbone.norm_f"},
    NameRule{"attn_norm", "norm"},
    NameRule{"attn_q", "mixer.q_proj", How::kQueryRows},  // though it has no RoPE
    NameRule{"attn_k", "mixer.k_proj", How::kKeyRows},
    NameRule{"attn_v", "mixer.v_proj"},
    NameRule{"attn_output", "mixer.o_proj"},
    NameRule{"ffn_up", "mixer.up_proj"},
    NameRule{"ffn_down", "mixer.down_proj"},
    NameRule{"ffn_gate_inp", "mixer.gate"},
    NameRule{"exp_probs_b.bias", "mixer.gate.e_score_correction_bias"},
    NameRule{"ffn_up_exps.weight", "mixer.experts.{}.up_proj.weight", How::kSlices},
    NameRule{"ffn_down_exps.weight", "mixer.experts.{}.down_proj.weight", How::kSlices},
    NameRule{"ffn_up_shexp", "mixer.shared_experts.up_proj"},
    NameRule{"ffn_down_shexp", "mixer.shared_experts.down_proj"},
    NameRule{"ffn_latent_down", "mixer.fc1_latent_proj"},
    NameRule{"ffn_latent_up", "mixer.fc2_latent_proj"},
};

void nemotron_moe_config(GgufMetadata& metadata, json& config) {
  config["n_routed_experts"] = metadata.integer("expert_count", 0);
  config["num_experts_per_tok"] = metadata.integer("expert_used_count", 0);
  config["n_shared_experts"] = metadata.integer("expert_shared_count", 0);
  config["n_group"] = metadata.integer("expert_group_count", 1);
  config["topk_group"] = metadata.integer("expert_group_used_count", 1);
  config["norm_topk_prob"] = metadata.boolean("expert_weights_norm", true);
  config["routed_scaling_factor"] = metadata.number("expert_weights_scale", 1.0);
  config["moe_intermediate_size"] = metadata.integer("expert_feed_forward_length", 0);
  config["moe_shared_expert_intermediate_size"] =
      metadata.integer("expert_shared_feed_forward_length", 0);
  config["moe_latent_size"] = nullptr;
  if (metadata.has("moe_latent_size")) {
    config["moe_latent_size"] = metadata.positive("moe_latent_size");
  }
}

void nemotron_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  json types = json::array();
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    const char* type = has_layer(metadata, layer, "ssm_in.weight")         ? "linear_attention"
                       : has_layer(metadata, layer, "attn_q.weight")       ? "full_attention"
                       : has_layer(metadata, layer, "ffn_gate_inp.weight") ? "moe"
                                                                           : "mlp";
    types.push_back(type);
    const GgufTensor* up = metadata.layer_tensor(layer, "ffn_up.weight");
    if (up != nullptr) config["intermediate_size"] = up->shape[0];
  }
  config["layers_block_type"] = std::move(types);
  config["layer_norm_epsilon"] = norm_epsilon(metadata);
  const SsmHeads heads = ssm_heads(metadata);
  config["mamba_num_heads"] = heads.count;
  config["mamba_head_dim"] = heads.dim;
  config["n_groups"] = heads.groups;
  config["ssm_state_size"] = metadata.positive("ssm.state_size");
  config["conv_kernel"] = metadata.positive("ssm.conv_kernel");
  config["chunk_size"] = kSsmChunk;
  config["use_conv_bias"] = metadata.any_layer_has("ssm_conv1d.bias");
  config["mamba_proj_bias"] = config["use_bias"] = metadata.any_layer_has("ssm_in.bias");
  config["mamba_hidden_act"] = "silu";
  config["mlp_hidden_act"] = "relu2";
  config["time_step_limit"] = no_time_step_limit();
  config.erase("rope_parameters");
  nemotron_moe_config(metadata, config);
}

// The norms hold their offsets (conversion/plamo.py, Plamo2Model).
const double kPostMlpOffset = 1.0 / std::pow(5.0, 1.5);
const std::array kPlamoRules = {
    NameRule{"output_norm", "model.norm", How::kMinus, 1.0},
    NameRule{"attn_norm", "pre_mixer_norm", How::kMinus, 1.0},
    NameRule{"post_attention_norm.weight", "post_mixer_norm.weight", How::kMinus, 1.0 / 5},
    NameRule{"post_attention_norm", "post_mixer_norm.weight", How::kMinus, 1.0 / 5},
    NameRule{"ffn_norm", "pre_mlp_norm", How::kMinus, 1.0},
    NameRule{"post_ffw_norm.weight", "post_mlp_norm.weight", How::kMinus, kPostMlpOffset},
    NameRule{"post_ffw_norm", "post_mlp_norm.weight", How::kMinus, kPostMlpOffset},
    NameRule{"ffn_up", "mlp.gate_up_proj"},
    NameRule{"attn_qkv", "mixer.qkv_proj"},
    NameRule{"attn_output", "mixer.o_proj"},
    NameRule{"attn_q_norm.weight", "mixer.q_weight"},
    NameRule{"attn_k_norm.weight", "mixer.k_weight"},
    NameRule{"ssm_x", "mixer.bcdt_proj"},
    NameRule{"ssm_dt.weight", "mixer.dt_proj.weight"},
    NameRule{"ssm_dt_norm", "mixer.dt_norm_weight"},
    NameRule{"ssm_b_norm", "mixer.B_norm_weight"},
    NameRule{"ssm_c_norm", "mixer.C_norm_weight"},
};

// Attention in layers i with i % step == step / 2. The window is not in the file, and llama.cpp
// attends to everything: so full_attention_idx lists every attention layer.
void plamo2_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  std::vector<int64_t> attention;
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    if (has_layer(metadata, layer, "attn_qkv.weight")) attention.push_back(layer);
  }
  int64_t step = 2 * (metadata.layers() + 1);
  if (!attention.empty()) step = 2 * attention[0];
  if (attention.size() > 1) step = attention[1] - attention[0];
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    const bool wanted = step > 0 && layer % step == step / 2;
    if (wanted == has_layer(metadata, layer, "ssm_in.weight")) {
      return metadata.fail(fmt::format("layer {} breaks the period of {}", layer, step));
    }
  }
  config["mamba_enabled"] = metadata.any_layer_has("ssm_in.weight");
  config["mamba_step"] = step;
  config["full_attention_idx"] = attention;
  config["attention_window_size"] = 2048;
  config["mamba_num_heads"] = ssm_heads(metadata).count;
  config["hidden_size_per_head"] = head_dim(metadata);
  config["mamba_d_state"] = metadata.positive("ssm.state_size");
  config["mamba_d_conv"] = metadata.positive("ssm.conv_kernel");
  config["mamba_chunk_size"] = kSsmChunk;
}

constexpr std::string_view kModel = "model.layers.", kBackbone = "backbone.layers.";
const std::array kArchitectures = {
    GgufArchitecture{"granitehybrid", "granitemoehybrid", "GraniteMoeHybridForCausalLM", true,
                     kModel, kGraniteRules, granite_hybrid_config, map_granite, "mamba."},
    GgufArchitecture{"nemotron_h", "nemotron_h", "NemotronHForCausalLM", false, kBackbone,
                     kNemotronRules, nemotron_config, nullptr, "mixer."},
    GgufArchitecture{"nemotron_h_moe", "nemotron_h", "NemotronHForCausalLM", true, kBackbone,
                     kNemotronRules, nemotron_config, nullptr, "mixer."},
    GgufArchitecture{"plamo2", "plamo2", "Plamo2ForCausalLM", true, "model.layers.layers.",
                     kPlamoRules, plamo2_config, nullptr, "mixer."},
};

}  // namespace

std::span<const GgufArchitecture> gguf_hybrid_architectures() { return kArchitectures; }

}  // namespace continuo::checkpoint
