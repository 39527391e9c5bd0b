// Bamba: Mamba-2 and rotary attention layers, each with a gated MLP. Reference: transformers
// modeling_bamba.py.
#include <algorithm>

#include "models/families.h"
#include "models/mamba_config.h"

namespace continuo::models {
namespace {

class Bamba : public Model {
 public:
  Bamba(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "bamba";
    norm_eps_ = config.number("rms_norm_eps", 1e-5);
    attention_ = read_attention(config, facts_.hidden, 8);
    // Half of a head turns, whether the config says so or not.
    rope_ = read_rope(config, attention_.head_dim, {.partial = 0.5});
    facts_.rope_switches_at = rope_.switches_at();
    mixer_ = read_mamba2(config, config.size("mamba_expand", 2) * facts_.hidden, 256);
    inner_ = config.size("intermediate_size");
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
    act_ = activation(config.text("hidden_act", "silu"));
    const std::vector<int64_t> attention = config.integers("attn_layer_indices");
    for (int64_t i = 0; i < facts_.layers; ++i)
      facts_.mixers.push_back(std::find(attention.begin(), attention.end(), i) != attention.end()
                                  ? "attention"
                                  : "mamba2");
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = rms_norm(step, x, prefix + ".input_layernorm", norm_eps_);
    x = x + mix(step, h, index);
    const Value m = rms_norm(step, x, prefix + ".pre_ff_layernorm", norm_eps_);
    return x + gated_mlp(step, m, prefix + ".feed_forward", inner_, act_, mlp_bias_);
  }

  Value final_norm(Step& step, Value x) const override {
    return rms_norm(step, x, prefix_ + "final_layernorm", norm_eps_);
  }

 private:
  Value mix(Step& step, Value x, int64_t index) const {
    const std::string prefix = layer_prefix(index), state = state_name(index);
    if (facts_.mixers[static_cast<size_t>(index)] == "mamba2")
      return mamba2_mixer(step, x, prefix + ".mamba", state, mixer_);
    SelfAttention block = attention_;
    block.rope = rope_.rope(step.shape().limit);
    return self_attention(step, x, prefix + ".self_attn", state, block);
  }

  SelfAttention attention_;
  RopeConfig rope_;
  Mamba2Mixer mixer_;
  int64_t inner_ = 0;
  Bias mlp_bias_ = Bias::kNone;
  Activation act_;
};

}  // namespace

const Family kBamba{
    "bamba",   {"bamba"}, {"BambaForCausalLM"}, "Mamba-2, attention", "recurrent, kv",
    {"bamba"}, "",        make_model<Bamba>};

}  // namespace continuo::models
