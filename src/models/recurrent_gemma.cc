// RecurrentGemma (Griffin): RG-LRU blocks and local attention. References: transformers
// modeling_recurrent_gemma.py; De et al. 2024, arXiv 2402.19427.
#include <fmt/format.h>

#include <cmath>

#include "base/half.h"
#include "models/families.h"
#include "ops/causal_conv.h"
#include "ops/rg_lru.h"

namespace continuo::models {
namespace {

class RecurrentGemma : public Model {
 public:
  RecurrentGemma(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "recurrent_gemma";
    tied_ = config.flag("tie_word_embeddings", true);
    attention_.heads = config.size("num_attention_heads", 10);
    attention_.kv_heads = config.size("num_key_value_heads", attention_.heads);
    attention_.head_dim = config.size("head_dim", facts_.hidden / attention_.heads);
    attention_.options.scale = 1 / std::sqrt(double(attention_.head_dim));
    attention_.options.window = config.size("attention_window_size", 2048);
    attention_.bias = config.flag("attention_bias", false) ? Bias::kYes : Bias::kNone;
    attention_.out_bias = Bias::kYes;
    rope_ = read_rope(config, attention_.head_dim, {.partial = 0.5});
    facts_.rope_switches_at = rope_.switches_at();
    width_ = config.size("lru_width", facts_.hidden);
    if (width_ % attention_.heads != 0)
      config.fail(fmt::format("wanted num_attention_heads to divide lru_width, got {} and {}",
                              attention_.heads, width_));
    kernel_ = config.size("conv1d_width", 4);
    inner_ = config.size("intermediate_size", 3 * facts_.hidden) / 2;
    act_ = activation(config.text({"hidden_activation", "hidden_act"}, "gelu_pytorch_tanh"));
    cap_ = config.number("logits_soft_cap", 30);
    read_types(config);
  }

  // The factor is rounded to bfloat16 in every run of the reference.
  Value embed(Step& step) const override {
    return Model::embed(step) * double(bf16_to_f32(f32_to_bf16(float(std::sqrt(facts_.hidden)))));
  }
  Value final_norm(Step& step, Value x) const override {
    return rms_norm(step, x, prefix_ + "final_norm", norm_eps_, 1);
  }
  Value head(Step& step, Value x) const override {
    const Value logits = Model::head(step, x);
    return cap_ > 0 ? tanh(logits / cap_) * cap_ : logits;
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = rms_norm(step, x, prefix + ".temporal_pre_norm", norm_eps_, 1);
    x = x + (recurrent_[size_t(index)] ? recurrent_block(step, index, h)
                                       : attention_block(step, index, h));
    const Value m = rms_norm(step, x, prefix + ".channel_pre_norm", norm_eps_, 1);
    return x + gated_mlp(step, m, prefix + ".mlp_block", inner_, act_, Bias::kYes);
  }

 private:
  void read_types(const ConfigView& config) {
    std::vector<std::string> types = config.strings({"block_types", "_block_types"});
    if (types.empty()) types = {"recurrent", "recurrent", "attention"};
    for (int64_t i = 0; i < facts_.layers; ++i) {  // the list repeats
      const std::string& type = types[size_t(i) % types.size()];
      if (type != "recurrent" && type != "attention")
        config.fail(
            fmt::format("block_types: wanted \"recurrent\" or \"attention\", got \"{}\"", type));
      recurrent_.push_back(type == "recurrent");
      facts_.mixers.push_back(
          recurrent_.back() ? "rg-lru" : fmt::format("window {}", attention_.options.window));
    }
  }

  Value recurrent_block(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".temporal_block", state = state_name(index);
    const Value gate = act_(linear(step, x, prefix + ".linear_y", width_, Bias::kYes));
    const Value mixed = causal_conv(step, linear(step, x, prefix + ".linear_x", width_, Bias::kYes),
                                    prefix + ".conv_1d", kernel_, Bias::kYes, state + ".conv",
                                    ConvActivation::kNone);
    const Value h = rg_lru(step, state + ".lru", mixed, prefix + ".rg_lru", attention_.heads);
    return linear(step, h * gate, prefix + ".linear_out", facts_.hidden, Bias::kYes);
  }

  Value attention_block(Step& step, int64_t index, Value x) const {
    SelfAttention block = attention_;
    block.rope = rope_.rope(step.shape().limit);
    return self_attention(step, x, layer_prefix(index) + ".temporal_block", state_name(index),
                          block);
  }

  SelfAttention attention_;
  RopeConfig rope_;
  int64_t width_ = 0, kernel_ = 4, inner_ = 0;
  Activation act_;
  double cap_ = 0;
  std::vector<bool> recurrent_;
};

}  // namespace

const Family kRecurrentGemma{"recurrent_gemma",
                             {"recurrent_gemma"},
                             {"RecurrentGemmaForCausalLM"},
                             "rg-lru, window attention",
                             "recurrent (conv tail, lru state), kv",
                             {"recurrent_gemma"},
                             "",
                             make_model<RecurrentGemma>};

}  // namespace continuo::models
