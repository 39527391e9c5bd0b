// Falcon-H1: every layer runs Mamba-2 and attention side by side on one norm, then a gated MLP,
// with multipliers in many places. Reference: transformers modeling_falcon_h1.py.
#include <fmt/format.h>

#include "models/families.h"
#include "models/mamba_config.h"

namespace continuo::models {
namespace {

struct Multipliers {
  double embedding, head, attention_in, attention_out, key, ssm_in, ssm_out;
  double gate = 1, down = 1;
};

Value scaled(Value x, double by) { return by == 1 ? x : x * by; }

class FalconH1 : public Model {
 public:
  FalconH1(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "falcon_h1";
    norm_eps_ = config.number("rms_norm_eps", 1e-5);
    attention_ = read_attention(config, facts_.hidden, 8);
    rope_ = read_rope(config, attention_.head_dim);
    facts_.rope_switches_at = rope_.switches_at();
    const int64_t expanded = config.size("mamba_expand", 2) * facts_.hidden;
    mixer_ = read_mamba2(config, config.size("mamba_d_ssm", expanded), 256);
    mixer_.norm_eps = norm_eps_;
    mixer_.out_bias = config.flag("projectors_bias", false) ? Bias::kYes : Bias::kNone;
    mixer_.norm = !config.flag("mamba_rms_norm", false)         ? MixerNorm::kNone
                  : config.flag("mamba_norm_before_gate", true) ? MixerNorm::kBeforeGate
                                                                : MixerNorm::kAfterGate;
    mixer_.in_scale = multipliers(config, "ssm_multipliers", 5);
    by_ = {
        config.number("embedding_multiplier", 1),    config.number("lm_head_multiplier", 1),
        config.number("attention_in_multiplier", 1), config.number("attention_out_multiplier", 1),
        config.number("key_multiplier", 1),          config.number("ssm_in_multiplier", 1),
        config.number("ssm_out_multiplier", 1)};
    if (const std::vector<float> mlp = multipliers(config, "mlp_multipliers", 2); !mlp.empty()) {
      by_.gate = mlp[0];
      by_.down = mlp[1];
    }
    inner_ = config.size("intermediate_size");
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
    act_ = activation(config.text("hidden_act", "silu"));
    facts_.mixers.assign(static_cast<size_t>(facts_.layers), "mamba2 + attention");
  }

  Value embed(Step& step) const override { return scaled(Model::embed(step), by_.embedding); }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index), state = state_name(index);
    const Value h = rms_norm(step, x, prefix + ".input_layernorm", norm_eps_);
    const Value recurrent =
        mamba2_mixer(step, scaled(h, by_.ssm_in), prefix + ".mamba", state, mixer_);
    const Value attended = attend(step, scaled(h, by_.attention_in), prefix + ".self_attn", state);
    x = x + scaled(recurrent, by_.ssm_out) + scaled(attended, by_.attention_out);
    const Value m = rms_norm(step, x, prefix + ".pre_ff_layernorm", norm_eps_);
    const auto gate = [this](Value value) { return act_(scaled(value, by_.gate)); };
    return x +
           scaled(gated_mlp(step, m, prefix + ".feed_forward", inner_, gate, mlp_bias_), by_.down);
  }

  Value final_norm(Step& step, Value x) const override {
    return rms_norm(step, x, prefix_ + "final_layernorm", norm_eps_);
  }

  Value head(Step& step, Value x) const override { return scaled(Model::head(step, x), by_.head); }

 private:
  static std::vector<float> multipliers(const ConfigView& config, const char* key, size_t count) {
    const std::vector<float> values = config.numbers(key);
    if (!values.empty() && values.size() != count)
      config.fail(fmt::format("{}: wanted {} numbers, got {}", key, count, values.size()));
    return values;
  }

  Value attend(Step& step, Value x, const std::string& prefix, const std::string& state) const {
    SelfAttention block = attention_;
    block.rope = rope_.rope(step.shape().limit);
    Projected parts = project_qkv(step, x, prefix, block);
    parts.k = scaled(parts.k, by_.key);
    prepare_qk(step, parts, block);
    const Value mixed = attention(step, state, parts.q, parts.k, parts.v, block.options);
    return linear(step, mixed, prefix + "." + block.out, facts_.hidden, block.out_bias);
  }

  SelfAttention attention_;
  RopeConfig rope_;
  Mamba2Mixer mixer_;
  Multipliers by_{};
  int64_t inner_ = 0;
  Bias mlp_bias_ = Bias::kNone;
  Activation act_;
};

}  // namespace

const Family kFalconH1{"falcon_h1",
                       {"falcon_h1"},
                       {"FalconH1ForCausalLM"},
                       "Mamba-2 and attention in parallel",
                       "recurrent, kv",
                       {"falcon_h1"},
                       "",
                       make_model<FalconH1>};

}  // namespace continuo::models
