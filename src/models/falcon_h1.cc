// Falcon-H1: every layer runs Mamba-2 and attention side by side on one norm, then a gated MLP,
// with multipliers in many places. Reference: transformers modeling_falcon_h1.py.
#include <fmt/format.h>

#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"
#include "models/mamba_config.h"

namespace continuo::models {
namespace {

struct Multipliers {
  double embedding, head, attention_in, attention_out, key, ssm_in, ssm_out;
  double gate = 1, down = 1;
};

Value scaled(Value x, double by) { return by == 1 ? x : x * by; }

class FalconH1 : public Decoder {
 public:
  FalconH1(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "falcon_h1";
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
    names_ = {"feed_forward", "pre_ff_layernorm", "final_layernorm"};
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
    facts_.mixers.assign(static_cast<size_t>(facts_.layers), "mamba2 + attention");
  }

  Value embed(Step& step) const override { return scaled(Decoder::embed(step), by_.embedding); }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = norm(step, x, prefix + ".input_layernorm");
    const Value recurrent =
        mamba2_mixer(step, scaled(h, by_.ssm_in), prefix + ".mamba", state_name(index), mixer_);
    const Value attended = attend(step, index, scaled(h, by_.attention_in));
    x = x + scaled(recurrent, by_.ssm_out) + scaled(attended, by_.attention_out);
    return x + feed_forward(step, index, norm(step, x, prefix + ".pre_ff_layernorm"));
  }

  Value head(Step& step, Value x) const override {
    return scaled(Decoder::head(step, x), by_.head);
  }

 private:
  static std::vector<float> multipliers(const ConfigView& config, const char* key, size_t count) {
    const std::vector<float> values = config.numbers(key);
    if (!values.empty() && values.size() != count)
      config.fail(fmt::format("{}: wanted {} numbers, got {}", key, count, values.size()));
    return values;
  }

  Value attend(Step& step, int64_t index, Value x) const override {
    const SelfAttention block = attention_block(step, index);
    const std::string prefix = attention_prefix(index);
    Projected parts = project_qkv(step, x, prefix, block);
    parts.k = scaled(parts.k, by_.key);
    prepare_qk(step, parts, block);
    const Value mixed =
        attention(step, state_name(index), parts.q, parts.k, parts.v, block.options);
    return linear(step, mixed, prefix + "." + block.out, facts_.hidden, block.out_bias);
  }

  Value feed_forward(Step& step, int64_t index, Value x) const override {
    const auto gate = [this](Value value) { return act_(scaled(value, by_.gate)); };
    const std::string prefix = layer_prefix(index) + ".feed_forward";
    return scaled(gated_mlp(step, x, prefix, inner_, gate, mlp_bias_), by_.down);
  }

  Mamba2Mixer mixer_;
  Multipliers by_{};
};

constexpr char kDefaults[] =
    R"({"num_key_value_heads": 8, "rms_norm_eps": 1e-5, "mamba_d_ssm": 1024})";

}  // namespace

const Family kFalconH1{"falcon_h1",
                       {"falcon_h1"},
                       {"FalconH1ForCausalLM"},
                       "Mamba-2 and attention in parallel",
                       "recurrent, kv",
                       {"falcon_h1"},
                       "",
                       make_model_with<FalconH1, kDefaults>};

}  // namespace continuo::models
