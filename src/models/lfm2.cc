// LFM2: gated short convolutions, attention every few layers. Reference: transformers
// modeling_lfm2.py.
#include <fmt/format.h>

#include <cmath>

#include "models/families.h"
#include "models/layer_types.h"
#include "ops/causal_conv.h"

namespace continuo::models {
namespace {

class Lfm2 : public Model {
 public:
  Lfm2(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "lfm2";
    norm_eps_ = config.number({"norm_eps", "block_norm_eps"}, 1e-5);
    tied_ = config.flag({"tie_embedding", "tie_word_embeddings"}, true);
    attention_.heads = config.size("num_attention_heads", 32);
    attention_.kv_heads = config.size("num_key_value_heads", 8);
    attention_.head_dim = config.size("head_dim", facts_.hidden / attention_.heads);
    attention_.options.scale = 1 / std::sqrt(double(attention_.head_dim));
    attention_.out = "out_proj";
    rope_ = read_rope(config, attention_.head_dim, {.theta = config.number("theta", 1e6)});
    facts_.rope_switches_at = rope_.switches_at();
    kernel_ = config.size("conv_L_cache", 3);
    conv_bias_ = config.flag("conv_bias", false) ? Bias::kYes : Bias::kNone;
    read_types(config);
    inner_ = feed_forward_size(config);
    act_ = activation("silu");
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = rms_norm(step, x, prefix + ".operator_norm", norm_eps_);
    x = x + (types_[size_t(index)] == "conv" ? short_conv(step, index, h)
                                             : full_attention(step, index, h));
    const Value m = rms_norm(step, x, prefix + ".ffn_norm", norm_eps_);
    return x + gated_mlp(step, m, prefix + ".feed_forward", inner_, act_, Bias::kNone,
                         {"w1", "w3", "w2"});
  }

  Value final_norm(Step& step, Value x) const override {
    return rms_norm(step, x, prefix_ + "embedding_norm", norm_eps_);
  }

 private:
  void read_types(const ConfigView& config) {
    types_ = read_layer_types(config, "layer_types", facts_.layers, {"conv", "full_attention"});
    if (types_.empty() && config.has("full_attn_idxs")) {
      types_.assign(size_t(facts_.layers), "conv");
      for (const int64_t index : config.integers("full_attn_idxs")) {
        if (index < 0 || index >= facts_.layers)
          config.fail(
              fmt::format("full_attn_idxs: wanted 0 to {}, got {}", facts_.layers - 1, index));
        types_[size_t(index)] = "full_attention";
      }
    }
    if (types_.empty()) types_.assign(size_t(facts_.layers), "full_attention");
    for (const std::string& type : types_)
      facts_.mixers.push_back(type == "conv" ? "short conv" : "attention");
  }

  static int64_t feed_forward_size(const ConfigView& config) {
    const int64_t given = config.size({"block_ff_dim", "intermediate_size"}, 12288);
    if (!config.flag("block_auto_adjust_ff_dim", true)) return given;
    const int64_t multiple = config.size("block_multiple_of", 256);
    const auto scaled = int64_t(config.number("block_ffn_dim_multiplier", 1) *
                                double(int64_t(2 * double(given) / 3)));
    if (scaled < 1)
      config.fail(fmt::format("block_ffn_dim_multiplier: leaves {} of {}", scaled, given));
    return (scaled + multiple - 1) / multiple * multiple;
  }

  // Two gates around a convolution without activation: C * conv(B * x).
  Value short_conv(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".conv";
    const int64_t H = facts_.hidden;
    const std::vector<Value> parts =
        split(linear(step, x, prefix + ".in_proj", 3 * H, conv_bias_), -1, {H, H, H});
    const Value mixed = causal_conv(step, parts[0] * parts[2], prefix + ".conv", kernel_,
                                    conv_bias_, state_name(index) + ".conv", ConvActivation::kNone);
    return linear(step, parts[1] * mixed, prefix + ".out_proj", H, conv_bias_);
  }

  Value full_attention(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".self_attn";
    SelfAttention block = attention_;
    block.rope = rope_.rope(step.shape().limit);
    block.qk_norm = [&](Value heads, char which) {
      return rms_norm(step, heads, prefix + "." + which + "_layernorm", norm_eps_);
    };
    return self_attention(step, x, prefix, state_name(index), block);
  }

  SelfAttention attention_;
  RopeConfig rope_;
  int64_t kernel_ = 3, inner_ = 0;
  Bias conv_bias_ = Bias::kNone;
  std::vector<std::string> types_;
  Activation act_;
};

}  // namespace

const Family kLfm2{
    "lfm2",   {"lfm2"}, {"Lfm2ForCausalLM"}, "short conv, attention", "recurrent (conv tail), kv",
    {"lfm2"}, "",       make_model<Lfm2>};

}  // namespace continuo::models
