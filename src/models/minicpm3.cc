// MiniCPM3: multi-head latent attention (DeepSeek-V2) with half-split rotation, and constants on
// the embedding, the branches and the head's input (Hu et al. 2024).
// Reference: transformers modeling_minicpm3.py.
#include <cmath>

#include "models/config_defaults.h"
#include "models/families.h"

namespace continuo::models {
namespace {

// The two latent norms take their class's default, not the config's.
constexpr double kLatentEps = 1e-6;

class MiniCpm3 : public Model {
 public:
  MiniCpm3(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "minicpm3";
    heads_ = config.size("num_attention_heads");
    q_rank_ = config.size("q_lora_rank", 0);
    kv_rank_ = config.size("kv_lora_rank");
    nope_ = config.size("qk_nope_head_dim");
    turning_ = config.size("qk_rope_head_dim");
    value_dim_ = config.size("v_head_dim", facts_.hidden / heads_);
    bias_ = config.flag("attention_bias", false) ? Bias::kYes : Bias::kNone;
    rope_ = read_rope(config, turning_);
    facts_.rope_switches_at = rope_.switches_at();
    inner_ = config.size("intermediate_size");
    act_ = activation(config.text("hidden_act", "silu"));
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
    const double depth = std::sqrt(double(facts_.layers));
    embedding_scale_ = config.number("scale_emb");
    branch_scale_ = config.number("scale_depth", depth) / depth;
    head_divisor_ = double(facts_.hidden) / double(config.size("dim_model_base", facts_.hidden));
    facts_.mixers.assign(static_cast<size_t>(facts_.layers), "latent attention");
  }

  Value embed(Step& step) const override { return Model::embed(step) * embedding_scale_; }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = rms_norm(step, x, prefix + ".input_layernorm", norm_eps_);
    x = x + attend(step, index, h) * branch_scale_;
    const Value m = rms_norm(step, x, prefix + ".post_attention_layernorm", norm_eps_);
    return x + gated_mlp(step, m, prefix + ".mlp", inner_, act_, mlp_bias_) * branch_scale_;
  }

  Value head(Step& step, Value x) const override { return Model::head(step, x / head_divisor_); }

 private:
  Value attend(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".self_attn";
    const int64_t R = x.dim(0), T = x.dim(1);
    const std::vector<Value> q = split(
        reshape(queries(step, x, prefix), {R, T, heads_, nope_ + turning_}), -1, {nope_, turning_});
    const std::vector<Value> kv =
        split(linear(step, x, prefix + ".kv_a_proj_with_mqa", kv_rank_ + turning_, bias_), -1,
              {kv_rank_, turning_});
    const Value latent = rms_norm(step, kv[0], prefix + ".kv_a_layernorm", kLatentEps);
    const RopeTable& table = rope_table(step, rope_.rope(step.shape().limit));
    const int64_t width = nope_ + value_dim_;
    const Value up = step.weight(prefix + ".kv_b_proj.weight", {heads_ * width, kv_rank_},
                                 step.target().weights);
    const Value mixed =
        latent_attention(step, state_name(index), q[0], apply_rope(q[1], table), latent,
                         apply_rope(reshape(kv[1], {R, T, 1, turning_}), table),
                         reshape(up, {heads_, width, kv_rank_}), value_dim_,
                         1 / std::sqrt(double(nope_ + turning_)));
    return linear(step, mixed, prefix + ".o_proj", facts_.hidden, bias_);
  }

  // [R,T,heads*(nope+rope)], through a low rank where the config has one.
  Value queries(Step& step, Value x, const std::string& prefix) const {
    const int64_t out = heads_ * (nope_ + turning_);
    if (q_rank_ == 0) return linear(step, x, prefix + ".q_proj", out);
    const Value low = linear(step, x, prefix + ".q_a_proj", q_rank_, bias_);
    const Value normed = rms_norm(step, low, prefix + ".q_a_layernorm", kLatentEps);
    return linear(step, normed, prefix + ".q_b_proj", out);
  }

  int64_t heads_ = 0, q_rank_ = 0, kv_rank_ = 0, nope_ = 0, turning_ = 0, value_dim_ = 0;
  int64_t inner_ = 0;
  Bias bias_ = Bias::kNone, mlp_bias_ = Bias::kNone;
  RopeConfig rope_;
  Activation act_;
  double embedding_scale_ = 1, branch_scale_ = 1, head_divisor_ = 1;
};

constexpr char kDefaults[] = R"({"tie_word_embeddings": true, "rms_norm_eps": 1e-5,
    "q_lora_rank": 768, "kv_lora_rank": 256, "qk_nope_head_dim": 64, "qk_rope_head_dim": 32,
    "max_position_embeddings": 32768, "scale_emb": 12, "scale_depth": 1.4,
    "dim_model_base": 256})";

}  // namespace

const Family kMiniCpm3{"minicpm3",
                       {"minicpm3"},
                       {"MiniCPM3ForCausalLM"},
                       "latent attention",
                       "kv (latent)",
                       {"minicpm3"},
                       "",
                       make_model_with<MiniCpm3, kDefaults>};

}  // namespace continuo::models
