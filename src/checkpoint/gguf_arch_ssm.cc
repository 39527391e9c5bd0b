// State-space models: Mamba 1 and 2, Falcon-Mamba, Jamba, Falcon-H1, LFM2's short convolutions.
#include <array>
#include <limits>

#include "checkpoint/gguf_arch.h"
#include "checkpoint/gguf_config.h"
#include "checkpoint/gguf_ssm.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

constexpr std::array kMambaRules = {
    NameRule{"token_embd", "backbone.embeddings"},
    NameRule{"output_norm", "backbone.norm_f"},
    NameRule{"attn_norm", "norm"},
    NameRule{"ssm_x", "mixer.x_proj"},
    NameRule{"ssm_dt", "mixer.dt_proj"},
};
constexpr std::array kMamba2Rules = {
    NameRule{"token_embd", "backbone.embeddings"},
    NameRule{"output_norm", "backbone.norm_f"},
    NameRule{"attn_norm", "norm"},
};

void ssm_base_config(GgufMetadata& metadata, json& config) {
  base_config(metadata, config);
  const int64_t inner = metadata.positive("ssm.inner_size");
  config["hidden_act"] = "silu";
  config["state_size"] = metadata.positive("ssm.state_size");
  config["conv_kernel"] = metadata.positive("ssm.conv_kernel");
  config["intermediate_size"] = inner;
  config["expand"] = inner / metadata.positive("embedding_length");
  config["layer_norm_epsilon"] = norm_epsilon(metadata);
  config["use_bias"] = metadata.any_layer_has("ssm_in.bias");
  config["use_conv_bias"] = metadata.any_layer_has("ssm_conv1d.bias");
}

// The keys mamba_* of either generation.
void mamba_sizes(GgufMetadata& metadata, json& config) {
  config["mamba_d_state"] = metadata.positive("ssm.state_size");
  config["mamba_d_conv"] = metadata.positive("ssm.conv_kernel");
  config["mamba_expand"] =
      metadata.positive("ssm.inner_size") / metadata.positive("embedding_length");
  config["mamba_conv_bias"] = metadata.any_layer_has("ssm_conv1d.bias");
  config["mamba_proj_bias"] = metadata.any_layer_has("ssm_in.bias");
}

// Falcon-Mamba's norms of dt, B and C have no weights and transformers' default epsilon.
void mamba_config(GgufMetadata& metadata, json& config) {
  ssm_base_config(metadata, config);
  config["time_step_rank"] = metadata.positive("ssm.time_step_rank");
  if (!metadata.boolean("ssm.dt_b_c_rms", false)) return;
  config["model_type"] = "falcon_mamba";
  config["architectures"] = json::array({"FalconMambaForCausalLM"});
  config["mixer_rms_eps"] = 1e-6;
}

void mamba2_config(GgufMetadata& metadata, json& config) {
  ssm_base_config(metadata, config);
  const SsmHeads heads = ssm_heads(metadata);
  config["num_heads"] = heads.count;
  config["head_dim"] = heads.dim;
  config["n_groups"] = heads.groups;
  config["chunk_size"] = kSsmChunk;
  config["time_step_limit"] = no_time_step_limit();
}

constexpr std::array kJambaRules = {
    NameRule{"output_norm", "model.final_layernorm"},
    NameRule{"ffn_norm", "pre_ff_layernorm"},
    NameRule{"ffn_gate", "feed_forward.gate_proj"},
    NameRule{"ffn_up", "feed_forward.up_proj"},
    NameRule{"ffn_down", "feed_forward.down_proj"},
    NameRule{"ffn_gate_inp", "feed_forward.router"},
    NameRule{"ffn_gate_exps.weight", "feed_forward.experts.{}.gate_proj.weight", How::kSlices},
    NameRule{"ffn_up_exps.weight", "feed_forward.experts.{}.up_proj.weight", How::kSlices},
    NameRule{"ffn_down_exps.weight", "feed_forward.experts.{}.down_proj.weight", How::kSlices},
    NameRule{"ssm_x", "mamba.x_proj"},
    NameRule{"ssm_dt", "mamba.dt_proj"},
    NameRule{"ssm_dt_norm", "mamba.dt_layernorm"},
    NameRule{"ssm_b_norm", "mamba.b_layernorm"},
    NameRule{"ssm_c_norm", "mamba.c_layernorm"},
};

// Layers first, first + period, ...; none: a first layer beyond the last.
struct Periodic {
  int64_t first, period;
};
Periodic periodic(GgufMetadata& metadata, std::string_view suffix) {
  std::vector<int64_t> layers;
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    if (metadata.layer_tensor(layer, suffix) != nullptr) layers.push_back(layer);
  }
  if (layers.empty()) return {metadata.layers(), metadata.layers() + 1};
  if (layers.size() == 1) return {layers[0], metadata.layers()};
  const Periodic found{layers[0], layers[1] - layers[0]};
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    const bool wanted = layer % found.period == found.first % found.period;
    if (wanted != (metadata.layer_tensor(layer, suffix) != nullptr) && layer >= found.first) {
      metadata.fail(fmt::format("the layers with '{}' do not repeat", suffix));
    }
  }
  if (found.first >= found.period) metadata.fail("the first period of layers lacks one");
  return found;
}

void jamba_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  const Periodic attention = periodic(metadata, "attn_q.weight");
  const Periodic experts = periodic(metadata, "ffn_gate_inp.weight");
  config["attn_layer_offset"] = attention.first;
  config["attn_layer_period"] = attention.period;
  config["expert_layer_offset"] = experts.first;
  config["expert_layer_period"] = experts.period;
  config["num_experts"] = metadata.integer("expert_count", 1);
  config["num_experts_per_tok"] = metadata.integer("expert_used_count", 1);
  mamba_sizes(metadata, config);
  config["mamba_dt_rank"] = metadata.positive("ssm.time_step_rank");
}

constexpr std::array kFalconH1Rules = {
    NameRule{"output_norm", "model.final_layernorm"},
    NameRule{"ffn_norm.weight", "pre_ff_layernorm.weight"},
    NameRule{"ffn_norm", "pre_ff_layernorm.weight"},
    NameRule{"ffn_gate", "feed_forward.gate_proj"},
    NameRule{"ffn_up", "feed_forward.up_proj"},
    NameRule{"ffn_down", "feed_forward.down_proj"},
};

// The converter multiplies the weights by the model's multipliers, which are 1 here.
void falcon_h1_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  mamba2_mixer_config(metadata, config);
  config["mamba_d_ssm"] = metadata.positive("ssm.inner_size");
  config["mamba_rms_norm"] = metadata.any_layer_has("ssm_norm.weight");
  config["mamba_norm_before_gate"] = false;
  config["projectors_bias"] = metadata.any_layer_has("ssm_out.bias");
  for (const char* multiplier :
       {"attention_in_multiplier", "attention_out_multiplier", "embedding_multiplier",
        "key_multiplier", "lm_head_multiplier", "ssm_in_multiplier", "ssm_out_multiplier"}) {
    config[multiplier] = 1.0;
  }
  config["mlp_multipliers"] = std::vector<double>(2, 1.0);
  config["ssm_multipliers"] = std::vector<double>(5, 1.0);
}

constexpr std::array kLfm2Rules = {
    NameRule{"token_embd_norm", "model.embedding_norm"},
    NameRule{"output_norm", "model.embedding_norm"},
    NameRule{"attn_norm", "operator_norm"},
    NameRule{"ffn_norm", "ffn_norm"},
    NameRule{"ffn_gate", "feed_forward.w1"},
    NameRule{"ffn_down", "feed_forward.w2"},
    NameRule{"ffn_up", "feed_forward.w3"},
    NameRule{"attn_q_norm", "self_attn.q_layernorm"},
    NameRule{"attn_k_norm", "self_attn.k_layernorm"},
    NameRule{"attn_output", "self_attn.out_proj"},
    NameRule{"shortconv.conv", "conv.conv", How::kConv},
    NameRule{"shortconv.in_proj", "conv.in_proj"},
    NameRule{"shortconv.out_proj", "conv.out_proj"},
};

// The feed-forward width is stored as adjusted, so nothing is left to adjust.
void lfm2_config(GgufMetadata& metadata, json& config) {
  transformer_config(metadata, config);
  config["norm_eps"] = metadata.number("attention.layer_norm_rms_epsilon");
  config["conv_L_cache"] = metadata.positive("shortconv.l_cache");
  config["conv_bias"] = metadata.any_layer_has("shortconv.conv.bias");
  config["block_auto_adjust_ff_dim"] = false;
  json types = json::array();
  for (int64_t heads : metadata.per_layer("attention.head_count_kv", 0)) {
    types.push_back(heads > 0 ? "full_attention" : "conv");
  }
  config["layer_types"] = std::move(types);
}

constexpr std::string_view kBackbone = "backbone.layers.", kModel = "model.layers.";
constexpr std::array kArchitectures = {
    GgufArchitecture{"mamba", "mamba", "MambaForCausalLM", true, kBackbone, kMambaRules,
                     mamba_config, nullptr, "mixer."},
    GgufArchitecture{"mamba2", "mamba2", "Mamba2ForCausalLM", true, kBackbone, kMamba2Rules,
                     mamba2_config, nullptr, "mixer."},
    GgufArchitecture{"jamba", "jamba", "JambaForCausalLM", true, kModel, kJambaRules, jamba_config,
                     nullptr, "mamba."},
    GgufArchitecture{"falcon-h1", "falcon_h1", "FalconH1ForCausalLM", true, kModel, kFalconH1Rules,
                     falcon_h1_config, nullptr, "mamba."},
    GgufArchitecture{"lfm2", "lfm2", "Lfm2ForCausalLM", true, kModel, kLfm2Rules, lfm2_config},
};

}  // namespace

SsmHeads ssm_heads(GgufMetadata& metadata) {
  SsmHeads heads;
  heads.count = metadata.positive("ssm.time_step_rank");  // where the converter puts it
  heads.dim = metadata.positive("ssm.inner_size") / heads.count;
  heads.groups = std::max<int64_t>(metadata.integer("ssm.group_count", 1), 1);
  return heads;
}

json no_time_step_limit() { return json::array({0.0, std::numeric_limits<double>::infinity()}); }

void mamba2_mixer_config(GgufMetadata& metadata, json& config) {
  const SsmHeads heads = ssm_heads(metadata);
  config["mamba_n_heads"] = heads.count;
  config["mamba_d_head"] = heads.dim;
  config["mamba_n_groups"] = heads.groups;
  mamba_sizes(metadata, config);
  config["mamba_chunk_size"] = kSsmChunk;
  config["time_step_limit"] = no_time_step_limit();
}

std::span<const GgufArchitecture> gguf_ssm_architectures() { return kArchitectures; }

}  // namespace continuo::checkpoint
