#include "models/gated_delta_hybrid.h"

#include <fmt/format.h>

#include "models/layer_types.h"
#include "ops/causal_conv.h"

namespace continuo::models {

GatedDeltaHybrid::GatedDeltaHybrid(const ConfigView& config, HasTensor has)
    : Decoder(config, std::move(has), {.partial = 0.25}) {
  qk_norm_ = QkNorm::kEachHead;
  net_.key_heads = config.size("linear_num_key_heads", 16);
  net_.value_heads = config.size("linear_num_value_heads", 32);
  net_.key_dim = config.size("linear_key_head_dim", 128);
  net_.value_dim = config.size("linear_value_head_dim", 128);
  net_.kernel = config.size("linear_conv_kernel_dim", 4);
  net_.norm = "norm";
  net_.norm_eps = norm_eps_;
  if (net_.value_heads % net_.key_heads != 0)
    config.fail(
        fmt::format("wanted linear_num_value_heads a multiple of linear_num_key_heads, "
                    "got {} and {}",
                    net_.value_heads, net_.key_heads));
  types_ = read_layer_types(config, {"layer_types", "layers_block_type"}, facts_.layers,
                            {"linear_attention", "full_attention"});
  if (types_.empty())
    types_ = every_nth_full(facts_.layers, config.size("full_attention_interval", 4));
  for (size_t i = 0; i < types_.size(); ++i)
    if (types_[i] != "full_attention") facts_.mixers[i] = "gated delta net";
}

Value GatedDeltaHybrid::norm(Step& step, Value x, const std::string& name) const {
  return rms_norm(step, x, name, norm_eps_, 1);
}

Value GatedDeltaHybrid::attend(Step& step, int64_t index, Value x) const {
  return types_[size_t(index)] == "full_attention" ? full_attention(step, index, x)
                                                   : linear_attention(step, index, x);
}

Value GatedDeltaHybrid::linear_attention(Step& step, int64_t index, Value x) const {
  const std::string prefix = layer_prefix(index) + ".linear_attn", state = state_name(index);
  const Projected in = project_linear(step, x, prefix);
  const Value mixed = causal_conv(step, in.qkv, prefix + ".conv1d", net_.kernel, Bias::kNone,
                                  state + ".conv", ConvActivation::kSilu);
  const std::vector<Value> qkv = split(mixed, -1, {net_.keys(), net_.keys(), net_.values()});
  const Value y =
      delta_net(step, {qkv[0], qkv[1], qkv[2], in.decay, in.beta, in.gate}, prefix, state, net_);
  return linear(step, y, prefix + ".out_proj", facts_.hidden);
}

// q_proj gives each head its query and then its gate.
Value GatedDeltaHybrid::full_attention(Step& step, int64_t index, Value x) const {
  const std::string prefix = attention_prefix(index);
  const int64_t R = step.rows(), T = step.columns(), D = attention_.head_dim;
  const int64_t Hq = attention_.heads, Hk = attention_.kv_heads;
  const Value both =
      reshape(linear(step, x, prefix + ".q_proj", 2 * Hq * D, attention_.bias), {R, T, Hq, 2 * D});
  const auto heads = [&](const char* name) {
    return reshape(linear(step, x, prefix + name, Hk * D, attention_.bias), {R, T, Hk, D});
  };
  ops::Projected parts{slice(both, -1, 0, D), heads(".k_proj"), heads(".v_proj")};
  const SelfAttention block = attention_block(step, index);
  prepare_qk(step, parts, block);
  const Value mixed = attention(step, state_name(index), parts.q, parts.k, parts.v, block.options);
  const Value gate = reshape(slice(both, -1, D, 2 * D), {R, T, Hq * D});
  return linear(step, mixed * sigmoid(gate), prefix + ".o_proj", facts_.hidden,
                attention_.out_bias);
}

}  // namespace continuo::models
