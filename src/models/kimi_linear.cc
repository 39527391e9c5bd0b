// Kimi Linear: Kimi delta attention (a decay a channel), latent attention without positions every
// few layers, experts as DeepSeek-V3 has them. Reference: transformers modeling_kimi_linear.py.
#include <fmt/format.h>

#include <cmath>

#include "models/config_defaults.h"
#include "models/families.h"
#include "models/latent_config.h"
#include "models/layer_types.h"
#include "models/router_config.h"
#include "ops/delta_net.h"
#include "ops/delta_rule.h"
#include "ops/sparse_mlp.h"

namespace continuo::models {
namespace {

constexpr double kUnitEps = 1e-6;  // of the normalised q and k

class KimiLinear : public Model {
 public:
  KimiLinear(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "kimi_linear";
    tied_ = false;  // the reference ties nothing, whatever the config says
    facts_.max_positions = config.size({"model_max_length", "max_position_embeddings"}, 0);
    norm_eps_ = config.number("rms_norm_eps", 1e-5);
    read_attention(config);
    read_types(config);
    inner_ = config.size({"dense_ffn_hidden", "intermediate_size"}, 9216);
    read_experts(config);
    if (config.flag("mla_use_output_gate", false))
      config.fail("mla_use_output_gate is not supported");
    if (config.integer("attn_res_block_size", 0) != 0)
      config.fail("attn_res_block_size is not supported");
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = rms_norm(step, x, prefix + ".input_layernorm", norm_eps_);
    x = x + (types_[size_t(index)] == "full_attention"
                 ? latent_block(step, h, prefix + ".self_attn", state_name(index), attention_)
                 : delta_attention(step, index, h));
    const Value m = rms_norm(step, x, prefix + ".post_attention_layernorm", norm_eps_);
    return x + (sparse_layers_[size_t(index)]
                    ? sparse_mlp(step, m, prefix + ".block_sparse_moe", sparse_)
                    : gated_mlp(step, m, prefix + ".mlp", inner_, sparse_.act));
  }

 private:
  void read_attention(const ConfigView& config) {
    attention_ = read_latent_block(config, facts_.hidden);
    if (!config.flag("mla_use_nope", true))
      config.fail("mla_use_nope = false is not supported: its reference rotates nothing");
    const ConfigView linear = config.object("linear_attn_config");
    delta_heads_ = linear.size("num_heads", config.size("linear_num_heads", 32));
    delta_dim_ = linear.size("head_dim", config.size("linear_head_dim", 128));
    kernel_ = linear.size("short_conv_kernel_size", config.size("linear_conv_kernel_dim", 4));
  }

  void read_types(const ConfigView& config) {
    types_ = read_layer_types(config, "layer_types", facts_.layers,
                              {"linear_attention", "full_attention"});
    const ConfigView linear = config.object("linear_attn_config");
    if (types_.empty() && linear.has("full_attn_layers")) {
      types_.assign(size_t(facts_.layers), "linear_attention");
      for (const int64_t layer : linear.integers("full_attn_layers")) {  // counted from 1
        if (layer < 1 || layer > facts_.layers)
          config.fail(
              fmt::format("full_attn_layers: wanted 1 to {}, got {}", facts_.layers, layer));
        types_[size_t(layer - 1)] = "full_attention";
      }
    }
    if (types_.empty()) types_ = every_nth_full(facts_.layers, 4);
    for (const std::string& type : types_)
      facts_.mixers.push_back(type == "full_attention" ? "latent attention"
                                                       : "kimi delta attention");
    const int64_t first = config.integer("first_k_dense_replace", 1);
    const int64_t every = config.size("moe_layer_freq", 1);
    const std::vector<std::string> mlps =
        read_layer_types(config, "mlp_layer_types", facts_.layers, {"dense", "sparse"});
    for (int64_t i = 0; i < facts_.layers; ++i)
      sparse_layers_.push_back(mlps.empty() ? i >= first && i % every == 0
                                            : mlps[size_t(i)] == "sparse");
  }

  void read_experts(const ConfigView& config) {
    sparse_.experts = config.optional_size({"num_experts", "num_local_experts"}, 256);
    if (sparse_.experts == 0) {
      sparse_layers_.assign(sparse_layers_.size(), false);
      return;
    }
    sparse_.inner = config.size("moe_intermediate_size", 1024);
    sparse_.act = activation(config.text("hidden_act", "silu"));
    sparse_.names = {"w1", "w3", "w2"};
    sparse_.choice_bias = "gate.e_score_correction_bias";
    sparse_.shared = "shared_experts";
    sparse_.shared_inner =
        sparse_.inner * config.optional_size({"num_shared_experts", "n_shared_experts"}, 1);
    Router& router = sparse_.router;
    router.top_k = config.size({"num_experts_per_token", "num_experts_per_tok"}, 8);
    router.normalise = config.flag({"moe_renormalize", "norm_topk_prob"}, true);
    router.scale = config.number("routed_scaling_factor", 2.446);
    router.scoring = read_scoring(config, "moe_router_activation_func", "sigmoid");
    read_groups(config, {{"num_expert_group", "n_group"}, "topk_group"}, {}, sparse_.experts,
                router);
  }

  Value delta_attention(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".self_attn", state = state_name(index);
    const int64_t R = step.rows(), T = step.columns(), H = delta_heads_, D = delta_dim_;
    const Shape heads{R, T, H, D};
    const auto project = [&](const char* name) { return linear(step, x, prefix + name, H * D); };
    const auto low_rank = [&](const char* down, const char* up) {
      return reshape(linear(step, linear(step, x, prefix + down, D), prefix + up, H * D), heads);
    };
    const std::vector<Value> qkv =
        short_convs(step, {project(".q_proj"), project(".k_proj"), project(".v_proj")},
                    {prefix + ".q_conv1d", prefix + ".k_conv1d", prefix + ".v_conv1d"}, kernel_,
                    state + ".conv");
    const Value a_log = reshape(step.weight(prefix + ".A_log", {1, 1, H, 1}), {H, 1});
    const Value dt_bias = reshape(step.weight(prefix + ".dt_bias", {H * D}), {H, D});
    DeltaRuleInputs rule;
    rule.q = l2_norm(reshape(qkv[0], heads), kUnitEps) * (1 / std::sqrt(double(D)));
    rule.k = l2_norm(reshape(qkv[1], heads), kUnitEps);
    rule.v = reshape(qkv[2], heads);
    rule.log_decay = neg(exp(a_log)) * softplus(low_rank(".f_a_proj", ".f_b_proj") + dt_bias);
    rule.beta = sigmoid(linear(step, x, prefix + ".b_proj", H));
    const Value y =
        norm_and_gate(step, delta_rule(step, state + ".delta", rule),
                      sigmoid(low_rank(".g_a_proj", ".g_b_proj")), prefix + ".o_norm", norm_eps_);
    return linear(step, y, prefix + ".o_proj", facts_.hidden);
  }

  LatentBlock attention_;  // what DeepSeek rotates is joined here as it is
  int64_t delta_heads_ = 0, delta_dim_ = 0, kernel_ = 4, inner_ = 0;
  std::vector<std::string> types_;
  std::vector<bool> sparse_layers_;
  SparseMlp sparse_;
};

constexpr char kDefaults[] = R"({"num_attention_heads": 32, "kv_lora_rank": 512,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128})";

}  // namespace

const Family kKimiLinear{"kimi_linear",
                         {"kimi_linear"},
                         {"KimiLinearForCausalLM"},
                         "kimi delta attention, latent attention",
                         "recurrent (conv tail, delta state), kv (one latent line a token)",
                         {"kimi_linear"},
                         "",
                         make_model_with<KimiLinear, kDefaults>};

}  // namespace continuo::models
