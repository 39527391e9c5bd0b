// MiniMax-Text-01 in its -hf form: lightning attention and softmax attention, experts, residuals
// that start from the normed input. Reference: transformers modeling_minimax.py.
#include <fmt/format.h>

#include <cmath>

#include "models/families.h"
#include "models/layer_types.h"
#include "ops/lightning_attention.h"
#include "ops/sparse_mlp.h"

namespace continuo::models {
namespace {

constexpr double kLightningNormEps = 1e-6;  // fixed in the reference, whatever rms_norm_eps says

class MiniMax : public Model {
 public:
  MiniMax(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "minimax";
    norm_eps_ = config.number("rms_norm_eps", 1e-5);
    attention_.heads = config.size("num_attention_heads");
    attention_.kv_heads = config.size("num_key_value_heads", 8);
    attention_.head_dim = config.size("head_dim", facts_.hidden / attention_.heads);
    attention_.options.scale = 1 / std::sqrt(double(attention_.head_dim));
    attention_.options.window = config.optional_size("sliding_window", 0);
    rope_ = read_rope(config, attention_.head_dim, {.theta = 1e6, .partial = rotated(config)});
    facts_.rope_switches_at = rope_.switches_at();
    types_ = read_layer_types(config, "layer_types", facts_.layers,
                              {"linear_attention", "full_attention"});
    for (int64_t i = 0; types_.size() < size_t(facts_.layers); ++i)
      types_.push_back(i % 2 == 0 ? "full_attention" : "linear_attention");
    for (const std::string& type : types_)
      facts_.mixers.push_back(type == "full_attention" ? full_name() : "lightning attention");
    full_ = {config.number("full_attn_alpha_factor", 1), config.number("full_attn_beta_factor", 1)};
    linear_ = {config.number("linear_attn_alpha_factor", 1),
               config.number("linear_attn_beta_factor", 1)};
    mlp_ = {config.number("mlp_alpha_factor", 1), config.number("mlp_beta_factor", 1)};
    act_ = activation(config.text("hidden_act", "silu"));
    sparse_.experts = config.size({"num_local_experts", "num_experts"}, 8);
    sparse_.inner = config.size("intermediate_size");
    sparse_.act = act_;
    sparse_.names = {"w1", "w3", "w2"};
    sparse_.router.top_k = config.size("num_experts_per_tok", 2);
    sparse_.router.normalise = true;
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const bool is_full = types_[size_t(index)] == "full_attention";
    x = rms_norm(step, x, prefix + ".input_layernorm", norm_eps_);
    x = (is_full ? full_ : linear_)
            .add(x, is_full ? full_attention(step, index, x) : lightning(step, index, x));
    x = rms_norm(step, x, prefix + ".post_attention_layernorm", norm_eps_);
    return mlp_.add(x, sparse_mlp(step, x, prefix + ".block_sparse_moe", sparse_));
  }

 private:
  struct Residual {
    double alpha = 1, beta = 1;
    Value add(Value x, Value y) const { return x * alpha + y * beta; }
  };

  // The original checkpoint says how many dimensions of a head turn.
  double rotated(const ConfigView& config) const {
    return double(config.size("rotary_dim", attention_.head_dim)) / double(attention_.head_dim);
  }
  std::string full_name() const {
    const int64_t window = attention_.options.window;
    return window > 0 ? fmt::format("window {}", window) : "attention";
  }

  Value full_attention(Step& step, int64_t index, Value x) const {
    SelfAttention block = attention_;
    block.rope = rope_.rope(step.shape().limit);
    return self_attention(step, x, layer_prefix(index) + ".self_attn", state_name(index), block);
  }

  std::vector<float> slopes(int64_t index) const {
    const double place = double(index) / (double(facts_.layers) - 1 + 1e-5);
    std::vector<float> slopes;
    for (int64_t h = 1; h <= attention_.heads; ++h)
      slopes.push_back(
          float(std::pow(2, -8 * double(h) / double(attention_.heads)) * (1 - place + 1e-5)));
    return slopes;
  }

  Value lightning(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".self_attn";
    const int64_t R = step.rows(), T = step.columns(), H = attention_.heads;
    const int64_t D = attention_.head_dim;
    const Value projected = act_(linear(step, x, prefix + ".qkv_proj", 3 * H * D));
    const std::vector<Value> qkv = split(reshape(projected, {R, T, H, 3 * D}), -1, {D, D, D});
    const Value y = lightning_attention(step, state_name(index) + ".lightning", qkv[0], qkv[1],
                                        qkv[2], slopes(index));
    const Value gate = sigmoid(linear(step, x, prefix + ".output_gate", H * D));
    return linear(
        step, rms_norm(step, reshape(y, {R, T, H * D}), prefix + ".norm", kLightningNormEps) * gate,
        prefix + ".out_proj", facts_.hidden);
  }

  SelfAttention attention_;
  RopeConfig rope_;
  std::vector<std::string> types_;
  Residual full_, linear_, mlp_;
  Activation act_;
  SparseMlp sparse_;
};

}  // namespace

const Family kMiniMax{"minimax",
                      {"minimax"},
                      {"MiniMaxForCausalLM"},
                      "lightning attention, attention",
                      "recurrent (linear attention state), kv",
                      {"minimax"},
                      "",
                      make_model<MiniMax>};

}  // namespace continuo::models
