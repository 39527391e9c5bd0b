#include "ops/rg_lru.h"

#include "ops/chunks.h"

namespace continuo::ops {
namespace {

constexpr int64_t kChunks = 8;  // side by side: enough to fill vectors, few to join

void check_inputs(const RgLruInputs& in) {
  check(in.x.rank() == 3 && in.log_decay.shape() == in.x.shape() &&
            in.state.shape() == Shape{in.x.dim(0), in.x.dim(2)},
        "rg_lru", "wanted x, log_decay:[R,T,D] state:[R,D], got {}, {}, {}", in.x.describe(),
        in.log_decay.describe(), in.state.describe());
}

// Every chunk from zero, side by side, column by column: x:[R,n,L,D] -> h and the product of the
// decays so far, [R,n,L,D] each.
std::pair<Value, Value> scan_inside(Value log_decay, Value x) {
  const int64_t R = x.dim(0), n = x.dim(1), D = x.dim(3);
  const auto columns_first = [](Value y) { return transpose(y, {2, 0, 1, 3}); };
  Graph& graph = x.graph();
  const Value start = concat(
      {fill(graph, DType::kF32, {1, R, n, D}, 0), fill(graph, DType::kF32, {1, R, n, D}, 1)}, 0);
  const Value all =
      scan_chunks(start, {columns_first(log_decay), columns_first(x)},
                  [](Value carried, const std::vector<Value>& at) {
                    const Value decay = exp(at[0]);
                    const Value h = decay * slice(carried, 0, 0, 1) + at[1];
                    const Value next = concat({h, decay * slice(carried, 0, 1, 2)}, 0);
                    return std::pair(next, next);
                  })
          .second;
  const auto part = [&](int64_t i) {  // all:[L,2,R,n,D]
    return transpose(reshape(slice(all, 1, i, i + 1), {all.dim(0), R, n, D}), {1, 2, 0, 3});
  };
  return {part(0), part(1)};
}

}  // namespace

RgLruResult naive_rg_lru(const RgLruInputs& in) {
  check_inputs(in);
  const auto [state, out] = scan_columns(in.state, {in.log_decay, in.x},
                                         [](Value h, const std::vector<Value>& at) {
                                           const Value next = exp(at[0]) * h + at[1];
                                           return std::pair(next, next);
                                         },
                                         {in.valid, {}});
  return {out, state};
}

RgLruResult step_rg_lru(const RgLruInputs& in) {
  check_inputs(in);
  check(in.x.dim(1) == 1, "step_rg_lru", "wanted one column, got {}", in.x.describe());
  const Value out = exp(in.log_decay) * expand_dims(in.state, 1) + in.x;
  return {out, reshape(out, in.state.shape())};
}

RgLruResult chunk_rg_lru(const RgLruInputs& in, int64_t chunk) {
  check_inputs(in);
  const int64_t R = in.x.dim(0), T = in.x.dim(1), D = in.x.dim(2);
  const int64_t L = chunk_size(T, chunk), n = (T + L - 1) / L;
  const auto chunked = [&](Value x) {
    return reshape(n * L > T ? pad(x, 1, 0, n * L - T) : x, {R, n, L, D});
  };
  const auto [h, decay] = scan_inside(chunked(in.log_decay), chunked(in.x));
  // The state before each chunk: a scan over the chunks' last columns.
  const auto last = [&](Value x) {
    return transpose(reshape(slice(x, 2, L - 1, L), {R, n, D}), {1, 0, 2});
  };
  const auto [state, before] = scan_chunks(
      in.state, {last(decay), last(h)},
      [](Value s, const std::vector<Value>& at) { return std::pair(at[0] * s + at[1], s); },
      {live_chunks(in.valid, L, 1), {}});
  const Value out = h + decay * expand_dims(transpose(before, {1, 0, 2}), 2);
  return {slice(reshape(out, {R, n * L, D}), 1, 0, T), state};
}

Value rg_lru(Step& step, const std::string& name, Value x, const std::string& prefix,
             int64_t heads) {
  const int64_t R = step.rows(), T = step.columns(), D = x.dim(-1);
  check(x.shape() == Shape{R, T, D} && D % heads == 0, "rg_lru",
        "wanted x:[R={},T={},D] with D a multiple of {} heads, got {}", R, T, heads, x.describe());
  const int64_t block = D / heads;
  const Value blocks = reshape(x, {R, T, heads, block});
  const auto gate = [&](const std::string& which) {
    const Value w = step.weight(prefix + "." + which + "_gate_weight", {heads, block, block});
    const Value b = step.weight(prefix + "." + which + "_gate_bias", {heads, block});
    return reshape(sigmoid(einsum("rthi,hio->rtho", blocks, w) + b), {R, T, D});
  };
  const Value gated = x * gate("input");
  const Value log_decay =
      gate("recurrent") * softplus(step.weight(prefix + ".recurrent_param", {D})) * -8.0;
  const Value zero = constant(step.graph(), DType::kF32, 0);
  const Value one = constant(step.graph(), DType::kF32, 1);
  const Value first = expand_dims(compare(step.positions(), Compare::kEq, 0), -1);
  // 1 - a^2 without cancellation where a is near 1.
  const Value scale = select(first, one, sqrt(neg(expm1(log_decay * 2.0))));
  const Value valid = expand_dims(step.valid(), -1);
  RgLruInputs in{select(valid, log_decay, zero), select(valid, gated * scale, zero),
                 step.load_state(name, {D}), step.valid()};
  int64_t chunk = 2;
  while (chunk * kChunks < T) chunk *= 2;
  const RgLruResult result = step.target().naive_recurrences ? naive_rg_lru(in)
                             : T == 1                        ? step_rg_lru(in)
                                                             : chunk_rg_lru(in, chunk);
  step.store_state(name, result.state);
  return result.out;
}

}  // namespace continuo::ops
