#include "ops/lightning_attention.h"

#include "ops/chunks.h"

namespace continuo::ops {
namespace {

constexpr double kLowestDecay = -120;  // exp gives 0 from -104 on; sums stay far from overflow

LightningInputs prepare(LightningInputs in) {
  check(in.q.rank() == 4 && in.v.rank() == 4, "lightning_attention",
        "wanted q:[R,T,H,K] v:[R,T,H,V], got {}, {}", in.q.describe(), in.v.describe());
  const int64_t R = in.q.dim(0), T = in.q.dim(1), H = in.q.dim(2), K = in.q.dim(3);
  check(in.k.shape() == in.q.shape() && in.v.shape() == Shape{R, T, H, in.v.dim(3)} &&
            in.log_decay.shape() == Shape{R, T, H} &&
            in.state.shape() == Shape{R, H, K, in.v.dim(3)},
        "lightning_attention", "wanted k, v, log_decay:[R,T,H] and state:[R,H,K,V], got {}, {}, {}",
        in.v.describe(), in.log_decay.describe(), in.state.describe());
  in.log_decay =
      expand_dims(maximum(in.log_decay, constant(in.v.graph(), DType::kF32, kLowestDecay)), -1);
  return in;
}

// One column: q, k:[R,H,K] v:[R,H,V] log_decay:[R,H,1].
std::pair<Value, Value> advance(Value q, Value k, Value v, Value log_decay, Value state) {
  const Value next =
      state * expand_dims(exp(log_decay), -1) + expand_dims(k, -1) * expand_dims(v, 2);
  return {reduce_sum(expand_dims(q, -1) * next, {2}), next};
}

Value column_of(Value x) {  // [R,1,H,D] -> [R,H,D]
  return reshape(x, {x.dim(0), x.dim(2), x.dim(3)});
}

}  // namespace

LightningResult naive_lightning_attention(const LightningInputs& inputs) {
  const LightningInputs in = prepare(inputs);
  const auto [state, out] = scan_columns(in.state, {in.q, in.k, in.v, in.log_decay},
                                         [](Value s, const std::vector<Value>& at) {
                                           const auto [o, next] =
                                               advance(at[0], at[1], at[2], at[3], s);
                                           return std::pair(next, o);
                                         },
                                         {in.valid, {}});
  return {out, state};
}

LightningResult step_lightning_attention(const LightningInputs& inputs) {
  check(inputs.v.rank() == 4 && inputs.v.dim(1) == 1, "step_lightning_attention",
        "wanted one column, got v {}", inputs.v.describe());
  const LightningInputs in = prepare(inputs);
  const auto [out, state] =
      advance(column_of(in.q), column_of(in.k), column_of(in.v), column_of(in.log_decay), in.state);
  return {expand_dims(out, 1), state};
}

LightningResult chunk_lightning_attention(const LightningInputs& inputs, int64_t chunk,
                                          int64_t span) {
  if (span > 0 && inputs.v.dim(1) > span) {
    const auto [state, out] =
        scan_spans(inputs.state, {inputs.q, inputs.k, inputs.v, inputs.log_decay}, span,
                   [&](Value s, const std::vector<Value>& at) {
                     const LightningResult part =
                         chunk_lightning_attention({at[0], at[1], at[2], at[3], s, {}}, chunk);
                     return std::pair(part.state, part.out);
                   },
                   {inputs.valid, {}});
    return {out, state};
  }
  const LightningInputs in = prepare(inputs);
  const int64_t R = in.q.dim(0), T = in.q.dim(1), H = in.q.dim(2), K = in.q.dim(3);
  const int64_t V = in.v.dim(3), C = chunk_size(T, chunk), n = (T + C - 1) / C, B = n * R * H;
  const auto flat = [&](Value x) { return reshape(to_chunks(x, C), {B, C, x.dim(3)}); };
  const auto shaped = [&](Value x) { return reshape(x, {n, R * H, x.dim(1), x.dim(2)}); };
  const Value q = flat(in.q), k = flat(in.k), g = flat(in.log_decay);
  const Value reads = q * exp(g);
  const DecayedProducts between = decayed_products({reads}, {k}, g);
  const Value row = iota(q.graph(), DType::kI32, {C, C}, 0);
  const Value diagonal = compare(row, Compare::kEq, iota(q.graph(), DType::kI32, {C, C}, 1));
  const Value mix = select(diagonal, reduce_sum(q * k, {-1}, true), between.between[0][0]);
  const auto [state, out] = scan_chunks(
      reshape(in.state, {R * H, K, V}),
      {shaped(reads * between.before), shaped(mix), shaped(k * between.after),
       shaped(between.whole), to_chunks(in.v, C)},
      [](Value s, const std::vector<Value>& at) {
        const Value o = einsum("bck,bkv->bcv", at[0], s) + einsum("bcj,bjv->bcv", at[1], at[4]);
        return std::pair(at[3] * s + einsum("bck,bcv->bkv", at[2], at[4]), o);
      },
      {live_chunks(in.valid, C, H), {}});
  return {from_chunks(out, R, T), reshape(state, {R, H, K, V})};
}

Value lightning_attention(Step& step, const std::string& name, Value q, Value k, Value v,
                          const std::vector<float>& slopes) {
  const int64_t R = step.rows(), T = step.columns(), H = int64_t(slopes.size());
  check(q.rank() == 4 && q.dim(2) == H && v.rank() == 4, "lightning_attention",
        "wanted q:[R,T,H={},K] v:[R,T,H,V], got {}, {}", H, q.describe(), v.describe());
  Graph& graph = step.graph();
  const Value zero = constant(graph, DType::kF32, 0);
  const Value valid = expand_dims(step.valid(), -1);  // [R,T,1]
  LightningInputs in{
      q, select(expand_dims(valid, -1), k, zero), step.without_padding(v), {}, {}, step.valid()};
  in.log_decay =
      select(valid, broadcast_to(neg(constant_f32(graph, {H}, slopes)), {R, T, H}), zero);
  in.state = step.load_state(name, {H, q.dim(3), v.dim(3)});
  const ChunkPlan plan = chunk_plan(step.target());
  const LightningResult result = step.target().naive_recurrences ? naive_lightning_attention(in)
                                 : T == 1                        ? step_lightning_attention(in)
                                          : chunk_lightning_attention(in, plan.chunk, plan.span);
  step.store_state(name, result.state);
  return result.out;
}

}  // namespace continuo::ops
