// MiniCPM3: multi-head latent attention (DeepSeek-V2) with half-split rotation, and constants on
// the embedding, the branches and the head's input (Hu et al. 2024).
// Reference: transformers modeling_minicpm3.py.
#include <cmath>

#include "models/config_defaults.h"
#include "models/families.h"
#include "models/latent_config.h"

namespace continuo::models {
namespace {

class MiniCpm3 : public Model {
 public:
  MiniCpm3(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "minicpm3";
    attention_ = read_latent_block(config, facts_.hidden);
    rope_ = read_rope(config, attention_.rope_dim);
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
    LatentBlock block = attention_;
    block.rope = rope_.rope(step.shape().limit);
    return latent_block(step, x, layer_prefix(index) + ".self_attn", state_name(index), block);
  }

  LatentBlock attention_;
  int64_t inner_ = 0;
  Bias mlp_bias_ = Bias::kNone;
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
