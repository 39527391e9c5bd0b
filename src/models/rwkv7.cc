// RWKV-7 "Goose" in flash-linear-attention's layout. References: fla/layers/rwkv7.py,
// fla/models/rwkv7/modeling_rwkv7.py; Peng et al. 2025, arXiv 2503.14456.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "models/families.h"
#include "ops/wkv7.h"

namespace continuo::models {
namespace {

const double kLowestDecay = -std::exp(-0.5);  // the logarithm's, however the gate opens

class Rwkv7 : public Model {
 public:
  Rwkv7(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "rwkv7";
    facts_.max_positions = 0;  // the config's is the training length: nothing ends there
    facts_.mixers.assign(size_t(facts_.layers), "rwkv7");
    norm_eps_ = config.number("norm_eps", 1e-5);
    read_heads(config);
    const double ratio = config.number("hidden_ratio", 4);
    inner_ =
        config.size("intermediate_size", (int64_t(double(facts_.hidden) * ratio) + 31) / 32 * 32);
    const std::string act = config.text("hidden_act", "sqrelu");
    act_ = activation(act == "sqrelu" ? "relu2" : act);
    pre_norm_ = config.flag("norm_first", true);
    norm_bias_ = config.flag("norm_bias", true);
    const double root = std::sqrt(double(facts_.hidden)), factor = double(head_dim_) / 64;
    decay_rank_ = config.size("decay_low_rank_dim", default_rank(2.5 * root * factor));
    rate_rank_ = config.size("a_low_rank_dim", default_rank(2.5 * root * factor));
    value_rank_ = config.size("v_low_rank_dim", default_rank(1.7 * root * factor));
    gate_rank_ = config.size("gate_low_rank_dim", default_rank(5 * root));
    if (config.has("attn"))
      config.fail("attn: layers of attention inside RWKV-7 are not supported");
  }

  Value final_norm(Step& step, Value x) const override { return norm(step, x, prefix_ + "norm"); }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    if (index == 0 && pre_norm_) x = norm(step, x, prefix + ".pre_norm");
    x = x + time_mix(step, index, norm(step, x, prefix + ".attn_norm"));
    return x + channel_mix(step, index, norm(step, x, prefix + ".ffn_norm"));
  }

 private:
  void read_heads(const ConfigView& config) {
    const int64_t heads = config.size("num_heads", std::max<int64_t>(facts_.hidden / 64, 1));
    head_dim_ = config.size("head_dim", config.has("num_heads") ? facts_.hidden / heads : 64);
    heads_ = facts_.hidden / head_dim_;
    if (heads_ * head_dim_ != facts_.hidden)
      config.fail(fmt::format("wanted head_dim to divide hidden_size, got {} and {}", head_dim_,
                              facts_.hidden));
    if (!config.has("value_dim")) return;
    const auto& given = config.raw().at("value_dim");
    const std::vector<int64_t> sizes = given.is_array()
                                           ? config.integers("value_dim")
                                           : std::vector<int64_t>{config.size("value_dim")};
    for (const int64_t size : sizes)
      if (size != facts_.hidden)
        config.fail(fmt::format("value_dim: only hidden_size ({}) is supported, got {}",
                                facts_.hidden, size));
  }

  static int64_t default_rank(double size) {
    return std::max<int64_t>(32, int64_t(std::round(size / 32)) * 32);
  }

  std::string embedding_name() const override { return prefix_ + "embeddings.weight"; }
  Value norm(Step& step, Value x, const std::string& name) const {
    return layer_norm(step, x, name, norm_eps_, norm_bias_);
  }

  // x one column earlier, minus x: what a mix of neighbouring columns adds. x:[R,T,H]
  Value shift(Step& step, Value x, const std::string& state) const {
    const int64_t T = step.columns();
    const Value last = expand_dims(step.load_state(state, {facts_.hidden}), 1);
    step.store_state(state, step.last_column(x));
    return (T == 1 ? last : concat({last, slice(x, 1, 0, T - 1)}, 1)) - x;
  }

  enum class Between { kNone, kTanh, kSigmoid };
  Value low_rank(Step& step, Value x, const std::string& name, int64_t rank, Between between,
                 Bias bias = Bias::kYes) const {
    Value low = linear(step, x, name + ".lora.0", rank);
    if (between == Between::kTanh) low = tanh(low);
    if (between == Between::kSigmoid) low = sigmoid(low);
    return linear(step, low, name + ".lora.2", facts_.hidden, bias);
  }

  // The first layer's values stand beside every later layer's own.
  Value values(Step& step, int64_t index, Value xv, const std::string& prefix) const {
    const Value v = linear(step, xv, prefix + ".v_proj", facts_.hidden);
    if (index == 0) return step.shared["rwkv7.v_first"] = v;
    const Value share =
        sigmoid(low_rank(step, xv, prefix + ".v_lora", value_rank_, Between::kNone));
    return v + (step.shared.at("rwkv7.v_first") - v) * share;
  }

  Value time_mix(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".attn", state = state_name(index);
    const int64_t R = step.rows(), T = step.columns(), H = facts_.hidden;
    const Shape heads{R, T, heads_, head_dim_};
    const Value before = shift(step, x, state + ".shift");
    const auto mixed = [&](const char* name) {
      return x + before * step.weight(prefix + name, {1, 1, H});
    };
    const Value v = values(step, index, mixed(".x_v"), prefix);
    const Value rate =
        sigmoid(low_rank(step, mixed(".x_a"), prefix + ".a_lora", rate_rank_, Between::kNone));
    Value k = linear(step, mixed(".x_k"), prefix + ".k_proj", H);
    const Value removed = unit(reshape(k * step.weight(prefix + ".k_k", {H}), heads));
    k = k * ((rate - 1.0) * step.weight(prefix + ".k_a", {H}) + 1.0);
    Wkv7Inputs in;
    in.r = reshape(linear(step, mixed(".x_r"), prefix + ".r_proj", H), heads);
    in.k = reshape(k, heads);
    in.v = reshape(v, heads);
    in.log_decay = reshape(
        sigmoid(low_rank(step, mixed(".x_w"), prefix + ".w_lora", decay_rank_, Between::kTanh)) *
            kLowestDecay,
        heads);
    in.lowest = kLowestDecay;
    in.a = neg(removed);
    in.b = removed * reshape(rate, heads);
    Value y = layer_norm(wkv7(step, state + ".wkv", in), {}, {}, double(head_dim_) * norm_eps_);
    y = reshape(y, {R, T, H}) * step.weight(prefix + ".g_norm.weight", {H}) +
        step.weight(prefix + ".g_norm.bias", {H});
    const Value r_k = step.weight(prefix + ".r_k", {heads_, head_dim_});
    y = y + reshape(reduce_sum(in.r * in.k * r_k, {-1}, true) * in.v, {R, T, H});
    const Value gate = low_rank(step, mixed(".x_g"), prefix + ".g_lora", gate_rank_,
                                Between::kSigmoid, Bias::kNone);
    return linear(step, y * gate, prefix + ".o_proj", H);
  }

  // x / max(|x|, 1e-12) along the last axis.
  static Value unit(Value x) {
    const Value sum = reduce_sum(square(x), {-1}, true);
    return x * rsqrt(maximum(sum, constant(x.graph(), DType::kF32, 1e-24)));
  }

  Value channel_mix(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".ffn";
    const Value before = shift(step, x, state_name(index) + ".ffn_shift");
    return plain_mlp(step, x + before * step.weight(prefix + ".x_k", {facts_.hidden}),
                     prefix + ".key", prefix + ".value", inner_, act_);
  }

  int64_t heads_ = 0, head_dim_ = 0, inner_ = 0;
  int64_t decay_rank_ = 0, rate_rank_ = 0, value_rank_ = 0, gate_rank_ = 0;
  bool pre_norm_ = true, norm_bias_ = true;
  Activation act_;
};

}  // namespace

const Family kRwkv7{
    "rwkv7",   {"rwkv7"}, {"RWKV7ForCausalLM"}, "rwkv7", "recurrent (two token shifts, wkv state)",
    {"rwkv7"}, "",        make_model<Rwkv7>};

}  // namespace continuo::models
