// DeepSeek-V2 and V3 (and what is built like them: Moonlight, Kimi K2): latent attention, leading
// dense layers, then experts chosen inside groups beside shared ones.
// References: transformers modeling_deepseek_v3.py, modeling_deepseek_v2.py.
#include <fmt/format.h>

#include <cmath>

#include "models/config_defaults.h"
#include "models/families.h"
#include "models/latent_config.h"
#include "models/router_config.h"
#include "ops/sparse_mlp.h"

namespace continuo::models {
namespace {

class DeepSeek : public Model {
 public:
  DeepSeek(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    is_v2_ = facts_.model_type == "deepseek_v2";
    facts_.family = "deepseek_v3";
    read_attention(config);
    inner_ = config.size("intermediate_size");
    act_ = activation(config.text("hidden_act", "silu"));
    mlp_bias_ = is_v2_ && config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
    read_experts(config);
    facts_.mixers.assign(static_cast<size_t>(facts_.layers), "latent attention");
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = rms_norm(step, x, prefix + ".input_layernorm", norm_eps_);
    x = x + attend(step, index, h);
    const Value m = rms_norm(step, x, prefix + ".post_attention_layernorm", norm_eps_);
    const bool dense = index < first_sparse_ || index % sparse_every_ != 0;
    return x + (dense ? gated_mlp(step, m, prefix + ".mlp", inner_, act_, mlp_bias_)
                      : sparse_mlp(step, m, prefix + ".mlp", sparse_));
  }

 private:
  void read_attention(const ConfigView& config) {
    attention_ = read_latent_block(config, facts_.hidden);
    const bool interleaved = is_v2_ || config.flag("rope_interleave", true);
    rope_ = read_rope(config, attention_.rope_dim, {.interleaved = interleaved});
    facts_.rope_switches_at = rope_.switches_at();
    if (rope_.type == "yarn" && rope_.yarn.mscale_all_dim > 0)
      attention_.scale *= std::pow(yarn_mscale(rope_.factor, rope_.yarn.mscale_all_dim), 2);
  }

  void read_experts(const ConfigView& config) {
    first_sparse_ = config.integer("first_k_dense_replace", is_v2_ ? 0 : 3);
    sparse_every_ = config.size("moe_layer_freq", 1);
    sparse_.experts = config.optional_size({"n_routed_experts", "num_local_experts", "num_experts"},
                                           is_v2_ ? 64 : 256);
    if (sparse_.experts == 0) {
      first_sparse_ = facts_.layers;
      return;
    }
    sparse_.inner = config.size("moe_intermediate_size", is_v2_ ? 1407 : 2048);
    sparse_.act = act_;
    sparse_.mlp_bias = mlp_bias_;
    sparse_.shared = "shared_experts";
    sparse_.shared_inner = sparse_.inner * config.optional_size("n_shared_experts", is_v2_ ? 2 : 1);
    read_router(config, sparse_.router);
  }

  void read_router(const ConfigView& config, Router& router) {
    router.top_k = config.size("num_experts_per_tok", 8);
    router.scale = config.number("routed_scaling_factor", is_v2_ ? 1.0 : 2.5);
    router.normalise = config.flag("norm_topk_prob", !is_v2_);
    router.scoring = read_scoring(config, "scoring_func", is_v2_ ? "softmax" : "sigmoid");
    const std::string method = config.text("topk_method", is_v2_ ? "greedy" : "noaux_tc");
    if (method != "greedy" && method != "group_limited_greedy" && method != "noaux_tc")
      config.fail(
          fmt::format("topk_method: wanted \"greedy\", \"group_limited_greedy\" or "
                      "\"noaux_tc\", got \"{}\"",
                      method));
    if (is_v2_ && router.normalise)
      config.fail(
          "norm_topk_prob = true is not supported for deepseek_v2: its references disagree");
    if (method == "noaux_tc") sparse_.choice_bias = "gate.e_score_correction_bias";
    if (method == "greedy") return;
    router.group_by_top2 = method == "noaux_tc";
    read_groups(config, {"n_group", "topk_group"}, is_v2_ ? GroupCounts{1, 0} : GroupCounts{8, 4},
                sparse_.experts, router);
  }

  Value attend(Step& step, int64_t index, Value x) const {
    LatentBlock block = attention_;
    block.rope = rope_.rope(step.shape().limit);
    return latent_block(step, x, layer_prefix(index) + ".self_attn", state_name(index), block);
  }

  bool is_v2_ = false;
  LatentBlock attention_;
  RopeConfig rope_;
  int64_t inner_ = 0, first_sparse_ = 0, sparse_every_ = 1;
  Activation act_;
  Bias mlp_bias_ = Bias::kNone;
  SparseMlp sparse_;
};

constexpr char kDefaults[] = R"({"q_lora_rank": 1536, "kv_lora_rank": 512,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128})";

}  // namespace

const Family kDeepSeek{"deepseek_v3",
                       {"deepseek_v3", "deepseek_v2", "kimi_k2"},
                       {"DeepseekV3ForCausalLM", "DeepseekV2ForCausalLM"},
                       "latent attention",
                       "kv (one latent line a token)",
                       {"deepseek_v3", "deepseek_v2", "deepseek_v2_lite", "kimi_k2"},
                       "The multi-token prediction layer is not used.",
                       make_model_with<DeepSeek, kDefaults>};

}  // namespace continuo::models
