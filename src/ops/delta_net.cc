#include "ops/delta_net.h"

#include <cmath>

#include "ops/causal_conv.h"
#include "ops/delta_rule.h"
#include "ops/norm.h"

namespace continuo::ops {
namespace {

constexpr double kUnitEps = 1e-6;  // inside the root, as flash-linear-attention's l2norm has it

}  // namespace

std::vector<Value> short_convs(Step& step, const std::vector<Value>& parts,
                               const std::vector<std::string>& names, int64_t kernel,
                               const std::string& name) {
  std::vector<Value> weights;
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < parts.size(); ++i) {
    sizes.push_back(parts[i].dim(-1));
    weights.push_back(step.weight(names[i] + ".weight", {sizes[i], 1, kernel}));
  }
  const Value mixed =
      causal_conv(step, concat(parts, -1), concat(weights, 0), {}, name, ConvActivation::kSilu);
  return split(mixed, -1, sizes);
}

Value norm_and_gate(Step& step, Value x, Value gate, const std::string& norm, double eps) {
  const Value y = rms_norm(step, x, norm, eps) * gate;
  return reshape(y, {y.dim(0), y.dim(1), y.dim(2) * y.dim(3)});
}

Value delta_net(Step& step, const DeltaNetInputs& inputs, const std::string& prefix,
                const std::string& name, const DeltaNet& net) {
  const int64_t R = step.rows(), T = step.columns(), H = net.value_heads;
  const Shape keys{R, T, net.key_heads, net.key_dim}, values{R, T, H, net.value_dim};
  const Value a_log = step.weight(prefix + ".A_log", {H});
  const Value dt_bias = step.weight(prefix + ".dt_bias", {H});
  DeltaRuleInputs rule;
  rule.q = l2_norm(reshape(inputs.q, keys), kUnitEps) * (1 / std::sqrt(double(net.key_dim)));
  rule.k = l2_norm(reshape(inputs.k, keys), kUnitEps);
  rule.v = reshape(inputs.v, values);
  rule.log_decay = neg(exp(a_log)) * softplus(inputs.decay + dt_bias);
  rule.beta = sigmoid(inputs.beta);
  if (net.beta_scale != 1) rule.beta = rule.beta * net.beta_scale;
  const Value y = delta_rule(step, name + ".delta", rule);
  return norm_and_gate(step, y, silu(reshape(inputs.gate, values)), prefix + "." + net.norm,
                       net.norm_eps);
}

}  // namespace continuo::ops
