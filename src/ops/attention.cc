#include "ops/attention.h"

#include <limits>

#include "ops/attention_in_place.h"

namespace continuo::ops {
namespace {

Precision precision(Step& step) {
  return step.target().exact_dots ? Precision::kHighest : Precision::kDefault;
}

// scores:[R,Hk,G,T,C] -> probabilities, keys outside the mask at exactly zero.
Value probabilities(Step& step, Value scores, const AttentionOptions& options) {
  if (options.softcap > 0) scores = tanh(scores / options.softcap) * options.softcap;
  const Value mask = step.key_mask(options.window);  // [R,T,C]
  const Value lowest =
      constant(step.graph(), DType::kF32, -std::numeric_limits<double>::infinity());
  scores =
      select(reshape(mask, {scores.dim(0), 1, 1, scores.dim(3), scores.dim(4)}), scores, lowest);
  if (!options.sinks.valid()) return softmax(scores, -1);
  const Value sinks = reshape(options.sinks, {1, scores.dim(1), scores.dim(2), 1, 1});
  const Value top = maximum(reduce_max(scores, {-1}, true), sinks);
  const Value weights = exp(scores - top);
  return weights / (reduce_sum(weights, {-1}, true) + exp(sinks - top));
}

// Masked values still enter a product with 0, and 0 x NaN is NaN. So no array ever holds a value
// that is not finite: such a one is stored as 0.
Value storable(Step& step, Value values) {
  values = convert(values, step.target().kv);
  return select(is_finite(values), values, constant(step.graph(), values.dtype(), 0));
}

// out:[R,T,Hk,G,Dv], not a number wherever the column's own v:[R,T,Hk,Dv] was not stored as it is:
// the row must not go on with a 0 in its place.
Value spoilt_with(Value out, Value v, DType kv) {
  const Value nan = constant(out.graph(), DType::kF32, std::numeric_limits<double>::quiet_NaN());
  return select(expand_dims(is_finite(convert(v, kv)), 3), out, nan);
}

}  // namespace

Value attention(Step& step, const std::string& name, Value q, Value k, Value v,
                const AttentionOptions& options) {
  const int64_t R = step.rows(), T = step.columns();
  check(q.rank() == 4 && k.rank() == 4 && v.rank() == 4 && k.dim(2) == v.dim(2) &&
            q.dim(3) == k.dim(3) && q.dim(2) % k.dim(2) == 0,
        "attention", "wanted q:[R,T,Hq,D] k:[R,T,Hk,D] v:[R,T,Hk,Dv], got {}, {}, {}", q.describe(),
        k.describe(), v.describe());
  const int64_t Hq = q.dim(2), Hk = k.dim(2), D = q.dim(3), Dv = v.dim(3), G = Hq / Hk;
  const Value stored = storable(step, v);
  const auto finished = [&](Value out) {
    return reshape(spoilt_with(reshape(out, {R, T, Hk, G, Dv}), v, stored.dtype()),
                   {R, T, Hq * Dv});
  };
  if (step.target().attends_in_place()) {
    const Value keys = step.write_kv(name + ".k", k), values = step.write_kv(name + ".v", stored);
    return finished(attend_in_place(step, q, keys, values, Dv, options));
  }
  const Value keys = step.append_kv(name + ".k", k);         // [R,Hk,C,D]
  const Value values = step.append_kv(name + ".v", stored);  // [R,Hk,C,Dv]
  const int64_t C = keys.dim(2);
  Value queries = transpose(reshape(q * options.scale, {R, T, Hk, G, D}), {0, 2, 3, 1, 4});
  queries = reshape(convert(queries, keys.dtype()), {R, Hk, G * T, D});
  const Value scores =
      dot_general(queries, keys, {{0, 1}, {0, 1}, {3}, {3}}, DType::kF32, precision(step));
  const Value weights = probabilities(step, reshape(scores, {R, Hk, G, T, C}), options);
  const Value mixed = dot_general(reshape(convert(weights, values.dtype()), {R, Hk, G * T, C}),
                                  values, {{0, 1}, {0, 1}, {3}, {2}}, DType::kF32, precision(step));
  return finished(transpose(reshape(mixed, {R, Hk, G, T, Dv}), {0, 3, 1, 2, 4}));
}

Value latent_attention(Step& step, const std::string& name, Value q_nope, Value q_rope,
                       Value latent, Value k_rope, Value up, int64_t value_dim, double scale) {
  const int64_t R = step.rows(), T = step.columns(), H = q_nope.dim(2), N = q_nope.dim(3);
  const int64_t P = q_rope.dim(3), rank = latent.dim(2), V = value_dim;
  check(up.shape() == Shape{H, N + V, rank} && k_rope.shape() == Shape{R, T, 1, P},
        "latent_attention", "wanted up:[H={},N+V={},rank={}] k_rope:[R,T,1,P={}], got {}, {}", H,
        N + V, rank, P, up.describe(), k_rope.describe());
  const Value line = concat({reshape(latent, {R, T, 1, rank}), k_rope}, -1);
  const Value stored = storable(step, line);
  const auto finished = [&](Value out) {                                            // [R,T,H,V]
    const Value whole = reduce_all(is_finite(convert(line, stored.dtype())), {3});  // [R,T,1]
    const Value nan = constant(step.graph(), DType::kF32, std::numeric_limits<double>::quiet_NaN());
    return reshape(select(expand_dims(whole, 3), out, nan), {R, T, H * V});
  };
  const Value up_keys = slice(up, 1, 0, N), up_values = slice(up, 1, N, N + V);
  // q . (W_k c) = (W_k^T q) . c: the queries move into the latent space, the keys stay there.
  const Value absorbed =
      einsum("rthn,hnc->rthc", convert(q_nope, up.dtype()), up_keys, DType::kF32, precision(step));
  if (step.target().attends_in_place()) {
    const Value lines = step.write_kv(name + ".latent", stored);
    const Value queries = concat({absorbed, q_rope}, -1);  // [R,T,H,rank+P]
    const Value mixed = attend_in_place(step, queries, lines, lines, rank, {.scale = scale});
    const Value out = einsum("rthc,hvc->rthv", convert(mixed, up.dtype()), up_values, DType::kF32,
                             precision(step));
    return finished(out);
  }
  const Value cached = step.append_kv(name + ".latent", stored);  // [R,1,C,rank+P]
  const int64_t C = cached.dim(2);
  const Value lines = reshape(cached, {R, C, rank + P});
  const Value queries = reshape(
      convert(transpose(concat({absorbed, q_rope}, -1) * scale, {0, 2, 1, 3}), lines.dtype()),
      {R, H * T, rank + P});
  const Value scores =
      dot_general(queries, lines, {{0}, {0}, {2}, {2}}, DType::kF32, precision(step));
  const Value weights = probabilities(step, reshape(scores, {R, 1, H, T, C}), {});
  const Value mixed =
      dot_general(reshape(convert(weights, lines.dtype()), {R, H * T, C}), slice(lines, 2, 0, rank),
                  {{0}, {0}, {2}, {1}}, DType::kF32, precision(step));  // [R,H*T,rank]
  const Value out = einsum("rhtc,hvc->rthv", convert(reshape(mixed, {R, H, T, rank}), up.dtype()),
                           up_values, DType::kF32, precision(step));
  return finished(out);
}

}  // namespace continuo::ops
