// Qwen3-Next: gated delta nets and gated attention, mixtures of experts with a gated shared one.
// Reference: transformers modeling_qwen3_next.py.
#include "models/config_defaults.h"
#include "models/families.h"
#include "models/gated_delta_hybrid.h"
#include "models/qwen.h"

namespace continuo::models {
namespace {

class Qwen3Next : public GatedDeltaHybrid {
 public:
  Qwen3Next(const ConfigView& config, HasTensor has) : GatedDeltaHybrid(config, std::move(has)) {
    facts_.family = "qwen3_next";
    is_sparse_ = qwen_sparse_layers(config, facts_.layers);
    sparse_.experts = config.optional_size({"num_experts", "num_local_experts"}, 512);
    if (sparse_.experts == 0) {
      is_sparse_.assign(is_sparse_.size(), false);
      return;
    }
    sparse_.inner = config.size("moe_intermediate_size", 512);
    sparse_.act = act_;
    sparse_.router.top_k = config.size("num_experts_per_tok", 10);
    sparse_.router.normalise = config.flag("norm_topk_prob", true);
    sparse_.shared = "shared_expert";
    sparse_.shared_inner = config.optional_size("shared_expert_intermediate_size", 512);
    sparse_.shared_gate = "shared_expert_gate";
  }

 private:
  // Both projections hold one key head after the other: [q k v z] of it and [b a] of it, v, z, b
  // and a of its value heads.
  Projected project_linear(Step& step, Value x, const std::string& prefix) const override {
    const int64_t R = step.rows(), T = step.columns(), Hk = net_.key_heads, K = net_.key_dim;
    const int64_t per_key = net_.value_heads / Hk, values = per_key * net_.value_dim;
    const Value qkvz = linear(step, x, prefix + ".in_proj_qkvz", 2 * (net_.keys() + net_.values()));
    const Value ba = linear(step, x, prefix + ".in_proj_ba", 2 * net_.value_heads);
    const std::vector<Value> wide =
        split(reshape(qkvz, {R, T, Hk, 2 * (K + values)}), -1, {K, K, values, values});
    const std::vector<Value> narrow =
        split(reshape(ba, {R, T, Hk, 2 * per_key}), -1, {per_key, per_key});
    const auto flat = [&](Value part) { return reshape(part, {R, T, Hk * part.dim(3)}); };
    return {concat({flat(wide[0]), flat(wide[1]), flat(wide[2])}, -1), flat(wide[3]),
            flat(narrow[1]), flat(narrow[0])};
  }

  Value feed_forward(Step& step, int64_t index, Value x) const override {
    if (sparse_.experts == 0 || !is_sparse_[size_t(index)])
      return Decoder::feed_forward(step, index, x);
    return sparse_mlp(step, x, layer_prefix(index) + ".mlp", sparse_);
  }

  std::vector<bool> is_sparse_;
  SparseMlp sparse_;
};

constexpr char kDefaults[] = R"({"head_dim": 256, "num_key_value_heads": 2,
    "intermediate_size": 5632})";

}  // namespace

const Family kQwen3Next{"qwen3_next",
                        {"qwen3_next"},
                        {"Qwen3NextForCausalLM"},
                        "gated delta net, attention",
                        "recurrent (conv tail, delta state), kv",
                        {"qwen3_next", "qwen3_next_f16", "mlx_qwen3_next"},
                        "The multi-token prediction layer is not used.",
                        make_model_with<Qwen3Next, kDefaults>};

}  // namespace continuo::models
