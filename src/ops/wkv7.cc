#include "ops/wkv7.h"

#include <algorithm>

#include "ops/chunks.h"

namespace continuo::ops {
namespace {

constexpr double kLowestDecay = -120;  // exp gives 0 from -104 on; sums stay far from overflow

Wkv7Inputs prepare(Wkv7Inputs in) {
  check(in.r.rank() == 4 && in.v.rank() == 4, "wkv7", "wanted r:[R,T,H,K] v:[R,T,H,V], got {}, {}",
        in.r.describe(), in.v.describe());
  const Shape& keys = in.r.shape();
  check(in.log_decay.shape() == keys && in.k.shape() == keys && in.a.shape() == keys &&
            in.b.shape() == keys && in.v.shape() == Shape{keys[0], keys[1], keys[2], in.v.dim(3)} &&
            in.state.shape() == Shape{keys[0], keys[2], keys[3], in.v.dim(3)},
        "wkv7", "wanted all keys {}, a v and a state to it, got v {}, state {}", keys,
        in.v.describe(), in.state.describe());
  in.log_decay =
      maximum(in.log_decay, constant(in.v.graph(), DType::kF32, std::max(in.lowest, kLowestDecay)));
  return in;
}

// One column: r ... b:[R,H,K] v:[R,H,V].
std::pair<Value, Value> advance(Value r, Value log_decay, Value k, Value a, Value b, Value v,
                                Value state) {
  const Value u = reduce_sum(expand_dims(a, -1) * state, {2}, true);  // [R,H,1,V]
  const Value next = state * expand_dims(exp(log_decay), -1) + expand_dims(b, -1) * u +
                     expand_dims(k, -1) * expand_dims(v, 2);
  return {reduce_sum(expand_dims(r, -1) * next, {2}), next};
}

Value column_of(Value x) {  // [R,1,H,D] -> [R,H,D]
  return reshape(x, {x.dim(0), x.dim(2), x.dim(3)});
}

}  // namespace

Wkv7Result naive_wkv7(const Wkv7Inputs& inputs) {
  const Wkv7Inputs in = prepare(inputs);
  const auto [state, out] = scan_columns(in.state, {in.r, in.log_decay, in.k, in.a, in.b, in.v},
                                         [](Value s, const std::vector<Value>& at) {
                                           const auto [o, next] =
                                               advance(at[0], at[1], at[2], at[3], at[4], at[5], s);
                                           return std::pair(next, o);
                                         },
                                         {in.valid, {}});
  return {out, state};
}

Wkv7Result step_wkv7(const Wkv7Inputs& inputs) {
  check(inputs.v.rank() == 4 && inputs.v.dim(1) == 1, "step_wkv7", "wanted one column, got v {}",
        inputs.v.describe());
  const Wkv7Inputs in = prepare(inputs);
  const auto [out, state] = advance(column_of(in.r), column_of(in.log_decay), column_of(in.k),
                                    column_of(in.a), column_of(in.b), column_of(in.v), in.state);
  return {expand_dims(out, 1), state};
}

Wkv7Result chunk_wkv7(const Wkv7Inputs& inputs, int64_t chunk, int64_t span) {
  if (span > 0 && inputs.v.dim(1) > span) {
    const auto [state, out] = scan_spans(
        inputs.state, {inputs.r, inputs.log_decay, inputs.k, inputs.a, inputs.b, inputs.v}, span,
        [&](Value s, const std::vector<Value>& at) {
          const Wkv7Result part =
              chunk_wkv7({at[0], at[1], at[2], at[3], at[4], at[5], s, inputs.lowest, {}}, chunk);
          return std::pair(part.state, part.out);
        },
        {inputs.valid, {}});
    return {out, state};
  }
  const Wkv7Inputs in = prepare(inputs);
  const int64_t R = in.v.dim(0), T = in.v.dim(1), H = in.v.dim(2), K = in.k.dim(3);
  const int64_t V = in.v.dim(3), C = chunk_size(T, chunk), n = (T + C - 1) / C, B = n * R * H;
  const auto flat = [&](Value x) { return reshape(to_chunks(x, C), {B, C, x.dim(3)}); };
  const Value r = flat(in.r), k = flat(in.k), a = flat(in.a), b = flat(in.b), v = flat(in.v);
  const Value g = flat(in.log_decay), reads = r * exp(g);
  // u[i] = S[i-1]^T a[i], S[i-1] made of the chunk's start and of earlier b u^T and k v^T.
  const DecayedProducts between = decayed_products({a, reads}, {b, k}, g, in.lowest);
  const auto& p = between.between;
  const Value inverse = unit_lower_inverse(p[0][0]);
  const Value row = iota(g.graph(), DType::kI32, {C, C}, 0);
  const Value diagonal = compare(row, Compare::kEq, iota(g.graph(), DType::kI32, {C, C}, 1));
  const auto with_own = [&](Value earlier, Value column) {
    return select(diagonal, reduce_sum(r * column, {-1}, true), earlier);
  };
  const auto shaped = [&](Value x) { return reshape(x, {n, R * H, x.dim(1), x.dim(2)}); };
  LowRankChunks chunks;
  chunks.into_u = shaped(-einsum("bij,bjk->bik", inverse, a * between.before));
  chunks.local_u = shaped(einsum("bij,bjv->biv", inverse, einsum("bij,bjv->biv", p[0][1], v)));
  chunks.read = shaped(reads * between.before);
  chunks.mix = shaped(concat({with_own(p[1][0], b), with_own(p[1][1], k)}, -1));
  chunks.write = shaped(concat({b * between.after, k * between.after}, 1));
  chunks.whole = shaped(transpose(between.whole, {0, 2, 1}));
  chunks.extra = shaped(v);
  chunks.live = live_chunks(in.valid, C, H);
  const auto [state, out] = scan_low_rank(chunks, reshape(in.state, {R * H, K, V}));
  return {from_chunks(out, R, T), reshape(state, {R, H, K, V})};
}

Value wkv7(Step& step, const std::string& name, Wkv7Inputs in) {
  check(in.v.rank() == 4 && in.k.rank() == 4, "wkv7", "wanted k, v of rank 4, got {}, {}",
        in.k.describe(), in.v.describe());
  in.state = step.load_state(name, {in.v.dim(2), in.k.dim(3), in.v.dim(3)});
  in.valid = step.valid();
  const Value zero = constant(step.graph(), DType::kF32, 0);
  const Value valid = expand_dims(expand_dims(step.valid(), -1), -1);
  for (Value* part : {&in.log_decay, &in.b, &in.k}) *part = select(valid, *part, zero);
  for (Value* part : {&in.a, &in.v}) *part = step.without_padding(*part);
  const ChunkPlan plan = chunk_plan(step.target());
  const Wkv7Result result = step.target().naive_recurrences ? naive_wkv7(in)
                            : step.columns() == 1           ? step_wkv7(in)
                                                            : chunk_wkv7(in, plan.chunk, plan.span);
  step.store_state(name, result.state);
  return result.out;
}

}  // namespace continuo::ops
