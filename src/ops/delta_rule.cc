#include "ops/delta_rule.h"

#include "ops/chunks.h"

namespace continuo::ops {
namespace {

constexpr double kLowestDecay = -120;  // exp gives 0 from -104 on; sums stay far from overflow

// Keys for every value head, a decay [R,T,H,1 or K], beta [R,T,H,1].
DeltaRuleInputs prepare(DeltaRuleInputs in) {
  check(in.q.rank() == 4 && in.q.shape() == in.k.shape() && in.v.rank() == 4 &&
            in.v.dim(2) % in.k.dim(2) == 0 && in.log_decay.rank() >= 3,
        "delta_rule", "wanted q, k:[R,T,Hk,K] v:[R,T,H,V], got {}, {}, {}", in.q.describe(),
        in.k.describe(), in.v.describe());
  const int64_t R = in.v.dim(0), T = in.v.dim(1), H = in.v.dim(2), K = in.k.dim(3);
  const bool channels = in.log_decay.rank() == 4;
  check(in.log_decay.shape() == (channels ? Shape{R, T, H, K} : Shape{R, T, H}) &&
            in.beta.shape() == Shape{R, T, H} && in.state.shape() == Shape{R, H, K, in.v.dim(3)},
        "delta_rule", "wanted beta:[R,T,H] log_decay:[R,T,H(,K)] state:[R,H,K,V], got {}, {}, {}",
        in.beta.describe(), in.log_decay.describe(), in.state.describe());
  in.q = repeat(in.q, 2, H / in.q.dim(2));
  in.k = repeat(in.k, 2, H / in.k.dim(2));
  if (!channels) in.log_decay = expand_dims(in.log_decay, -1);
  in.log_decay = maximum(in.log_decay, constant(in.v.graph(), DType::kF32, kLowestDecay));
  in.beta = expand_dims(in.beta, -1);
  return in;
}

// One column of prepared inputs: q, k:[R,H,K] v:[R,H,V] decay:[R,H,1|K] beta:[R,H,1].
std::pair<Value, Value> advance(Value q, Value k, Value v, Value log_decay, Value beta,
                                Value state) {
  const Value decayed = state * expand_dims(exp(log_decay), -1);
  const Value u = beta * (v - reduce_sum(expand_dims(k, -1) * decayed, {2}));
  const Value next = decayed + expand_dims(k, -1) * expand_dims(u, 2);
  return {reduce_sum(expand_dims(q, -1) * next, {2}), next};
}

Value column_of(Value x) {  // [R,1,H,D] -> [R,H,D]
  return reshape(x, {x.dim(0), x.dim(2), x.dim(3)});
}

}  // namespace

DeltaRuleResult naive_delta_rule(const DeltaRuleInputs& inputs) {
  const DeltaRuleInputs in = prepare(inputs);
  const auto [state, out] = scan_columns(in.state, {in.q, in.k, in.v, in.log_decay, in.beta},
                                         [](Value s, const std::vector<Value>& at) {
                                           const auto [o, next] =
                                               advance(at[0], at[1], at[2], at[3], at[4], s);
                                           return std::pair(next, o);
                                         },
                                         {in.valid, {}});
  return {out, state};
}

DeltaRuleResult step_delta_rule(const DeltaRuleInputs& inputs) {
  check(inputs.v.rank() == 4 && inputs.v.dim(1) == 1, "step_delta_rule",
        "wanted one column, got v {}", inputs.v.describe());
  const DeltaRuleInputs in = prepare(inputs);
  const auto [out, state] = advance(column_of(in.q), column_of(in.k), column_of(in.v),
                                    column_of(in.log_decay), column_of(in.beta), in.state);
  return {expand_dims(out, 1), state};
}

DeltaRuleResult chunk_delta_rule(const DeltaRuleInputs& inputs, int64_t chunk, int64_t span) {
  if (span > 0 && inputs.v.dim(1) > span) {
    const auto [state, out] = scan_spans(
        inputs.state, {inputs.q, inputs.k, inputs.v, inputs.log_decay, inputs.beta}, span,
        [&](Value s, const std::vector<Value>& at) {
          const DeltaRuleResult part =
              chunk_delta_rule({at[0], at[1], at[2], at[3], at[4], s, {}}, chunk);
          return std::pair(part.state, part.out);
        },
        {inputs.valid, {}});
    return {out, state};
  }
  const DeltaRuleInputs in = prepare(inputs);
  const int64_t R = in.v.dim(0), T = in.v.dim(1), H = in.v.dim(2), K = in.k.dim(3);
  const int64_t V = in.v.dim(3), C = chunk_size(T, chunk), n = (T + C - 1) / C, B = n * R * H;
  const auto flat = [&](Value x) { return reshape(to_chunks(x, C), {B, C, x.dim(3)}); };
  const Value q = flat(in.q), k = flat(in.k), v = flat(in.v), beta = flat(in.beta);
  const Value g = flat(in.log_decay), decay = exp(g);
  // u[i] = beta[i] (v[i] - k[i]^T D S[i-1]), S[i-1] made of the chunk's start and earlier k u^T.
  const Value asks = k * decay * beta, reads = q * decay;
  const DecayedProducts between = decayed_products({asks, reads}, {k}, g);
  const Value inverse = unit_lower_inverse(-between.between[0][0]);
  const Value own = reduce_sum(q * k, {-1}, true);  // [B,C,1]
  const Value row = iota(q.graph(), DType::kI32, {C, C}, 0);
  const Value column = iota(q.graph(), DType::kI32, {C, C}, 1);
  LowRankChunks chunks;
  const auto shaped = [&](Value x) { return reshape(x, {n, R * H, x.dim(1), x.dim(2)}); };
  chunks.into_u = shaped(einsum("bij,bjk->bik", inverse, asks * between.before));
  chunks.local_u = shaped(einsum("bij,bjv->biv", inverse, v * beta));
  chunks.read = shaped(reads * between.before);
  chunks.mix = shaped(select(compare(row, Compare::kEq, column), own, between.between[1][0]));
  chunks.write = shaped(k * between.after);
  chunks.whole = shaped(transpose(between.whole, {0, 2, 1}));
  chunks.live = live_chunks(in.valid, C, H);
  const auto [state, out] = scan_low_rank(chunks, reshape(in.state, {R * H, K, V}));
  return {from_chunks(out, R, T), reshape(state, {R, H, K, V})};
}

Value delta_rule(Step& step, const std::string& name, DeltaRuleInputs in) {
  check(in.v.rank() == 4 && in.k.rank() == 4, "delta_rule", "wanted k, v of rank 4, got {}, {}",
        in.k.describe(), in.v.describe());
  in.state = step.load_state(name, {in.v.dim(2), in.k.dim(3), in.v.dim(3)});
  in.valid = step.valid();
  const Value zero = constant(step.graph(), DType::kF32, 0);
  const Value valid = expand_dims(step.valid(), -1);
  in.beta = select(valid, in.beta, zero);
  for (Value* part : {&in.k, &in.v}) *part = step.without_padding(*part);
  in.log_decay =
      select(in.log_decay.rank() == 4 ? expand_dims(valid, -1) : valid, in.log_decay, zero);
  const ChunkPlan plan = chunk_plan(step.target());
  const DeltaRuleResult result = step.target().naive_recurrences ? naive_delta_rule(in)
                                 : step.columns() == 1
                                     ? step_delta_rule(in)
                                     : chunk_delta_rule(in, plan.chunk, plan.span);
  step.store_state(name, result.state);
  return result.out;
}

}  // namespace continuo::ops
