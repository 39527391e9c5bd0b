#include "ops/causal_conv.h"

namespace continuo::ops {
namespace {

// extended:[R,k-1+T,C] -> the k-1 columns that end at each row's last valid one: [R,k-1,C]. With
// fewer than k-1 new columns part of the old tail stays.
Value last_columns(Step& step, Value extended, int64_t keep) {
  const int64_t R = extended.dim(0), E = extended.dim(1), C = extended.dim(2);
  if (step.columns() == 1) return slice(extended, 1, 1, E);  // store_state keeps idle rows
  Graph& graph = step.graph();
  const Value line = iota(graph, DType::kI32, {R, keep}, 0) * double(E) +
                     iota(graph, DType::kI32, {R, keep}, 1) + expand_dims(step.length(), 1);
  return take_rows(reshape(extended, {R * E, C}), line);
}

}  // namespace

Value causal_conv(Step& step, Value x, Value weight, Value bias, const std::string& state,
                  ConvActivation activation) {
  const int64_t T = step.columns();
  check(x.rank() == 3 && x.dim(0) == step.rows() && x.dim(1) == T, "causal_conv",
        "wanted x:[R={},T={},C], got {}", step.rows(), T, x.describe());
  const int64_t C = x.dim(2), k = weight.dim(-1);
  check(weight.dim(0) == C && (weight.rank() == 2 || (weight.rank() == 3 && weight.dim(1) == 1)) &&
            k >= 2,
        "causal_conv", "wanted weight:[C={},1,k] with k >= 2, got {}", C, weight.describe());
  const Value taps = transpose(reshape(weight, {C, k}), {1, 0});  // [k,C]
  const Value tail = transpose(step.load_state(state, {C, k - 1}), {0, 2, 1});
  const Value extended = concat({tail, x}, 1);
  step.store_state(state, transpose(last_columns(step, extended, k - 1), {0, 2, 1}));
  Value y;
  for (int64_t j = 0; j < k; ++j) {
    const Value part = slice(extended, 1, j, j + T) * reshape(slice(taps, 0, j, j + 1), {C});
    y = j == 0 ? part : y + part;
  }
  if (bias.valid()) y = y + bias;
  return activation == ConvActivation::kSilu ? silu(y) : y;
}

Value causal_conv(Step& step, Value x, const std::string& name, int64_t kernel, Bias bias,
                  const std::string& state, ConvActivation activation) {
  const int64_t C = x.dim(-1);
  check(kernel >= 2, "causal_conv", "{}: wanted a kernel of at least 2, got {}", name, kernel);
  const bool biased = bias == Bias::kYes || (bias == Bias::kIfPresent && step.has(name + ".bias"));
  return causal_conv(step, x, step.weight(name + ".weight", {C, 1, kernel}),
                     biased ? step.weight(name + ".bias", {C}) : Value(), state, activation);
}

}  // namespace continuo::ops
