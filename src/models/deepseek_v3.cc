// DeepSeek-V2 and V3 (and what is built like them: Moonlight, Kimi K2): latent attention, leading
// dense layers, then experts chosen inside groups beside shared ones.
// References: transformers modeling_deepseek_v3.py, modeling_deepseek_v2.py.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "models/families.h"
#include "ops/sparse_mlp.h"

namespace continuo::models {
namespace {

constexpr double kLatentNormEps = 1e-6;  // fixed in the reference, whatever rms_norm_eps says

class DeepSeek : public Model {
 public:
  DeepSeek(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    is_v2_ = facts_.model_type == "deepseek_v2";
    facts_.family = "deepseek_v3";
    read_attention(config);
    inner_ = config.size("intermediate_size");
    act_ = activation(config.text("hidden_act", "silu"));
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
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
    heads_ = config.size("num_attention_heads");
    q_rank_ = config.raw().contains("q_lora_rank") && !config.has("q_lora_rank")
                  ? 0
                  : config.size("q_lora_rank", 1536);
    kv_rank_ = config.size("kv_lora_rank", 512);
    nope_dim_ = config.size("qk_nope_head_dim", 128);
    rope_dim_ = config.size("qk_rope_head_dim", 64);
    value_dim_ = config.size("v_head_dim", 128);
    bias_ = config.flag("attention_bias", false) ? Bias::kYes : Bias::kNone;
    const bool interleaved = is_v2_ || config.flag("rope_interleave", true);
    rope_ = read_rope(config, rope_dim_, {.interleaved = interleaved});
    facts_.rope_switches_at = rope_.switches_at();
    scale_ = 1 / std::sqrt(double(nope_dim_ + rope_dim_));
    if (rope_.type == "yarn" && rope_.yarn.mscale_all_dim > 0)
      scale_ *= std::pow(yarn_mscale(rope_.factor, rope_.yarn.mscale_all_dim), 2);
  }

  void read_experts(const ConfigView& config) {
    first_sparse_ = config.integer("first_k_dense_replace", is_v2_ ? 0 : 3);
    sparse_every_ = config.size("moe_layer_freq", 1);
    sparse_.experts =
        config.size({"n_routed_experts", "num_local_experts", "num_experts"}, is_v2_ ? 64 : 256);
    sparse_.inner = config.size("moe_intermediate_size", is_v2_ ? 1407 : 2048);
    sparse_.act = act_;
    sparse_.mlp_bias = mlp_bias_;
    sparse_.shared = "shared_experts";
    sparse_.shared_inner = sparse_.inner * config.integer("n_shared_experts", is_v2_ ? 2 : 1);
    read_router(config, sparse_.router);
  }

  void read_router(const ConfigView& config, Router& router) {
    router.top_k = config.size("num_experts_per_tok", 8);
    router.scale = config.number("routed_scaling_factor", is_v2_ ? 1.0 : 2.5);
    router.normalise = config.flag("norm_topk_prob", !is_v2_);
    const std::string scoring = config.text("scoring_func", is_v2_ ? "softmax" : "sigmoid");
    const std::string method = config.text("topk_method", is_v2_ ? "greedy" : "noaux_tc");
    if (scoring != "softmax" && scoring != "sigmoid")
      config.fail(
          fmt::format("scoring_func: wanted \"softmax\" or \"sigmoid\", got \"{}\"", scoring));
    if (method != "greedy" && method != "group_limited_greedy" && method != "noaux_tc")
      config.fail(
          fmt::format("topk_method: wanted \"greedy\", \"group_limited_greedy\" or "
                      "\"noaux_tc\", got \"{}\"",
                      method));
    if (is_v2_ && router.normalise)
      config.fail(
          "norm_topk_prob = true is not supported for deepseek_v2: its references disagree");
    router.scoring = scoring == "sigmoid" ? Scoring::kSigmoid : Scoring::kSoftmax;
    if (method == "noaux_tc") sparse_.choice_bias = "gate.e_score_correction_bias";
    if (method == "greedy") return;
    router.group_by_top2 = method == "noaux_tc";
    router.groups = config.size("n_group", is_v2_ ? 1 : 8);
    router.top_groups = config.size("topk_group", is_v2_ ? 1 : 4);
    if (sparse_.experts % router.groups != 0 || router.top_groups > router.groups ||
        router.top_k > sparse_.experts / router.groups * router.top_groups)
      config.fail(
          fmt::format("wanted n_group to divide n_routed_experts and topk_group groups to "
                      "hold num_experts_per_tok, got {}, {}, {} and {}",
                      router.groups, sparse_.experts, router.top_groups, router.top_k));
  }

  // [R,T,heads*(nope+rope)]
  Value queries(Step& step, Value x, const std::string& prefix) const {
    const int64_t size = heads_ * (nope_dim_ + rope_dim_);
    if (q_rank_ == 0) return linear(step, x, prefix + ".q_proj", size);
    const Value low = linear(step, x, prefix + ".q_a_proj", q_rank_, bias_);
    return linear(step, rms_norm(step, low, prefix + ".q_a_layernorm", kLatentNormEps),
                  prefix + ".q_b_proj", size);
  }

  Value attend(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".self_attn";
    const int64_t R = step.rows(), T = step.columns();
    const RopeTable& table = rope_table(step, rope_.rope(step.shape().limit));
    const Value q = reshape(queries(step, x, prefix), {R, T, heads_, nope_dim_ + rope_dim_});
    const std::vector<Value> q_parts = split(q, -1, {nope_dim_, rope_dim_});
    const Value down = linear(step, x, prefix + ".kv_a_proj_with_mqa", kv_rank_ + rope_dim_, bias_);
    const std::vector<Value> kv = split(down, -1, {kv_rank_, rope_dim_});
    const Value latent = rms_norm(step, kv[0], prefix + ".kv_a_layernorm", kLatentNormEps);
    const Value k_rope = apply_rope(reshape(kv[1], {R, T, 1, rope_dim_}), table);
    const int64_t up_dim = nope_dim_ + value_dim_;
    const Value up = step.weight(prefix + ".kv_b_proj.weight", {heads_ * up_dim, kv_rank_},
                                 step.target().weights);
    const Value mixed =
        latent_attention(step, state_name(index), q_parts[0], apply_rope(q_parts[1], table), latent,
                         k_rope, reshape(up, {heads_, up_dim, kv_rank_}), value_dim_, scale_);
    return linear(step, mixed, prefix + ".o_proj", facts_.hidden, bias_);
  }

  bool is_v2_ = false;
  int64_t heads_ = 0, q_rank_ = 0, kv_rank_ = 0, nope_dim_ = 0, rope_dim_ = 0, value_dim_ = 0;
  Bias bias_ = Bias::kNone;
  RopeConfig rope_;
  double scale_ = 1;
  int64_t inner_ = 0, first_sparse_ = 0, sparse_every_ = 1;
  Activation act_;
  Bias mlp_bias_ = Bias::kNone;
  SparseMlp sparse_;
};

}  // namespace

const Family kDeepSeek{"deepseek_v3",
                       {"deepseek_v3", "deepseek_v2", "kimi_k2"},
                       {"DeepseekV3ForCausalLM", "DeepseekV2ForCausalLM"},
                       "latent attention",
                       "kv (one latent line a token)",
                       {"deepseek_v3"},
                       "The multi-token prediction layer is not used.",
                       make_model<DeepSeek>};

}  // namespace continuo::models
