#include "ops/mlp.h"

#include <map>

namespace continuo::ops {

Activation activation(const std::string& name) {
  static const std::map<std::string, Activation> kKnown{
      {"silu", [](Value x) { return silu(x); }},
      {"swish", [](Value x) { return silu(x); }},
      {"gelu", [](Value x) { return gelu(x); }},
      {"gelu_new", [](Value x) { return gelu_tanh(x); }},
      {"gelu_fast", [](Value x) { return gelu_tanh(x); }},
      {"gelu_pytorch_tanh", [](Value x) { return gelu_tanh(x); }},
      {"relu", [](Value x) { return relu(x); }},
      {"relu2", [](Value x) { return square(relu(x)); }},
      {"relu_squared", [](Value x) { return square(relu(x)); }},
      {"sigmoid", [](Value x) { return sigmoid(x); }},
      {"tanh", [](Value x) { return tanh(x); }},
  };
  const auto place = kKnown.find(name);
  std::string names;
  for (const auto& [known, function] : kKnown) names += (names.empty() ? "" : ", ") + known;
  check(place != kKnown.end(), "activation", "wanted one of {}, got \"{}\"", names, name);
  return place->second;
}

Value gated_mlp(Step& step, Value x, const std::string& prefix, int64_t inner,
                const Activation& act, Bias bias, const MlpNames& names) {
  const Value gate = linear(step, x, prefix + "." + names.gate, inner, bias);
  const Value up = linear(step, x, prefix + "." + names.up, inner, bias);
  return linear(step, act(gate) * up, prefix + "." + names.down, x.dim(-1), bias);
}

Value fused_gated_mlp(Step& step, Value x, const std::string& gate_up, const std::string& down,
                      int64_t inner, const Activation& act, Bias bias) {
  const std::vector<Value> parts =
      split(linear(step, x, gate_up, 2 * inner, bias), -1, {inner, inner});
  return linear(step, act(parts[0]) * parts[1], down, x.dim(-1), bias);
}

Value plain_mlp(Step& step, Value x, const std::string& up, const std::string& down, int64_t inner,
                const Activation& act, Bias bias) {
  return linear(step, act(linear(step, x, up, inner, bias)), down, x.dim(-1), bias);
}

}  // namespace continuo::ops
