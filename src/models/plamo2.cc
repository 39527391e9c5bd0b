// PLaMo 2: Mamba-2-like and attention layers in turn, a norm before and after every part.
// References: the checkpoint's own modeling_plamo.py, mlx-lm plamo2.py.
#include <algorithm>
#include <cmath>

#include "models/families.h"
#include "models/mamba_config.h"
#include "ops/causal_conv.h"
#include "ops/ssd.h"

namespace continuo::models {
namespace {

struct PlamoMixer {
  int64_t heads = 0, head_dim = 0, state_size = 0, kernel = 4, dt_rank = 64;
  double eps = 1e-6;
};

// in_proj gives [z | x] a head; B, C and dt come from the convolved x, each normed.
Value plamo_mixer(Step& step, Value x, const std::string& prefix, const std::string& state,
                  const PlamoMixer& mixer) {
  const int64_t R = x.dim(0), T = x.dim(1), H = mixer.heads, P = mixer.head_dim;
  const int64_t N = mixer.state_size, inner = H * P;
  const std::vector<Value> zx =
      split(reshape(linear(step, x, prefix + ".in_proj", 2 * inner), {R, T, H, 2 * P}), -1, {P, P});
  const Value u = causal_conv(step, reshape(zx[1], {R, T, inner}), prefix + ".conv1d", mixer.kernel,
                              Bias::kNone, state + ".conv", ConvActivation::kSilu);
  const std::vector<Value> parts = split(
      linear(step, u, prefix + ".bcdt_proj", 2 * N + mixer.dt_rank), -1, {N, N, mixer.dt_rank});
  const auto normed = [&](size_t part, const char* which) {
    const std::string name = prefix + "." + which + "_norm_weight";
    return rms_norm(parts[part], step.weight(name, {parts[part].dim(-1)}), mixer.eps);
  };
  const Value dt = softplus(linear(step, normed(2, "dt"), prefix + ".dt_proj", H) +
                            step.weight(prefix + ".dt_bias", {H}));
  const SsdResult scan =
      ssd(step, {reshape(u, {R, T, H, P}),
                 select(expand_dims(step.valid(), 2), dt, constant(step.graph(), DType::kF32, 0)),
                 -exp(step.weight(prefix + ".A_log", {H})), reshape(normed(0, "B"), {R, T, 1, N}),
                 reshape(normed(1, "C"), {R, T, 1, N}), step.weight(prefix + ".D", {H}),
                 step.load_state(state + ".ssm", {1, N, inner})});
  step.store_state(state + ".ssm", scan.state);
  return linear(step, reshape(scan.y * silu(zx[0]), {R, T, inner}), prefix + ".out_proj",
                x.dim(-1));
}

class Plamo2 : public Model {
 public:
  Plamo2(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "plamo2";
    tied_ = config.flag("tie_word_embeddings", true);
    if (!config.is("linear_type", "normal") && config.has("linear_type"))
      config.fail("linear_type: wanted \"normal\"");
    if (config.flag("use_predefined_initial_state", false))
      config.fail("use_predefined_initial_state = true is not supported");
    attention_.heads = config.size("num_attention_heads", 32);
    attention_.kv_heads = config.size("num_key_value_heads", 4);
    attention_.head_dim = config.size("hidden_size_per_head", 128);
    attention_.options.scale = 1 / std::sqrt(double(attention_.head_dim));
    attention_.qkv = "qkv_proj";
    rope_ = plain_rope(attention_.head_dim, config.number("rope_theta", 10000));
    // A token sees the window's width of earlier tokens besides itself.
    window_ = config.size("attention_window_size", 2048) + 1;
    mixer_ = {config.size("mamba_num_heads", 64),        attention_.head_dim,
              config.size("mamba_d_state", 64),          config.size("mamba_d_conv", 4),
              std::max<int64_t>(64, facts_.hidden / 16), norm_eps_};
    inner_ = config.size("intermediate_size");
    read_layers(config);
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix_of(index);
    const Value h = rms_norm(step, x, prefix + ".pre_mixer_norm", norm_eps_, 1);
    x = x + rms_norm(step, mix(step, h, index), prefix + ".post_mixer_norm", norm_eps_, 1.0 / 5);
    const Value m = rms_norm(step, x, prefix + ".pre_mlp_norm", norm_eps_, 1);
    const Value y = fused_gated_mlp(step, m, prefix + ".mlp.gate_up_proj",
                                    prefix + ".mlp.down_proj", inner_, activation("silu"));
    return x + rms_norm(step, y, prefix + ".post_mlp_norm", norm_eps_, 1 / std::pow(5.0, 1.5));
  }

  Value final_norm(Step& step, Value x) const override {
    return rms_norm(step, x, prefix_ + "norm", norm_eps_, 1);
  }

 private:
  std::string layer_prefix_of(int64_t index) const {
    return prefix_ + "layers.layers." + std::to_string(index);
  }

  void read_layers(const ConfigView& config) {
    const int64_t period = config.size("mamba_step", 2), layers = facts_.layers;
    const bool mamba = config.flag("mamba_enabled", true);
    if (mamba && period < 2) config.fail("mamba_step: wanted at least 2");
    const std::vector<int64_t> full = config.integers("full_attention_idx");
    for (int64_t i = 0; i < layers; ++i) {
      const bool attends =
          !mamba || (layers <= period / 2 ? i == layers - 1 : i % period == period / 2);
      const bool sees_all = std::find(full.begin(), full.end(), i) != full.end();
      windows_.push_back(attends && !sees_all ? window_ : 0);
      facts_.mixers.push_back(!attends   ? "mamba2"
                              : sees_all ? "attention"
                                         : "window " + std::to_string(window_));
    }
  }

  Value mix(Step& step, Value x, int64_t index) const {
    const std::string prefix = layer_prefix_of(index) + ".mixer", state = state_name(index);
    if (facts_.mixers[static_cast<size_t>(index)] == "mamba2")
      return plamo_mixer(step, x, prefix, state, mixer_);
    SelfAttention block = attention_;
    block.options.window = windows_[static_cast<size_t>(index)];
    block.rope = rope_;
    block.qk_norm = [&](Value heads, char which) {
      const std::string name = prefix + "." + which + "_weight";
      return rms_norm(heads, step.weight(name, {heads.dim(2), heads.dim(3)}), 1e-6);
    };
    return self_attention(step, x, prefix, state, block);
  }

  SelfAttention attention_;
  Rope rope_;
  PlamoMixer mixer_;
  int64_t window_ = 0, inner_ = 0;
  std::vector<int64_t> windows_;  // a layer's window, 0 = none
};

}  // namespace

const Family kPlamo2{"plamo2",
                     {"plamo2"},
                     {"Plamo2ForCausalLM", "PlamoForCausalLM"},
                     "Mamba-2 with normed dt, B and C; attention",
                     "recurrent, kv",
                     {"plamo2"},
                     "",
                     make_model<Plamo2>};

}  // namespace continuo::models
