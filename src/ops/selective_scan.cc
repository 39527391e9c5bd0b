#include "ops/selective_scan.h"

#include <algorithm>

#include "ops/chunks.h"

namespace continuo::ops {
namespace {

struct Sizes {
  int64_t R, T, D, N;
};

Sizes check_sizes(const ScanInputs& in) {
  check(in.x.rank() == 3 && in.b.rank() == 3, "selective_scan",
        "wanted x:[R,T,D] b:[R,T,N], got {} and {}", in.x.describe(), in.b.describe());
  const int64_t R = in.x.dim(0), T = in.x.dim(1), D = in.x.dim(2), N = in.b.dim(2);
  const auto wants = [](const char* what, Value value, const Shape& shape) {
    check(value.type() == Type{DType::kF32, shape}, "selective_scan", "{}: wanted f32 {}, got {}",
          what, shape, value.describe());
  };
  wants("x", in.x, {R, T, D});
  wants("dt", in.dt, {R, T, D});
  wants("a", in.a, {N, D});
  wants("b", in.b, {R, T, N});
  wants("c", in.c, {R, T, N});
  wants("state", in.state, {R, N, D});
  if (in.d.valid()) wants("d", in.d, {D});
  return {R, T, D, N};
}

Value with_skip(Value y, const ScanInputs& in) { return in.d.valid() ? y + in.x * in.d : y; }

// One column of any batch: dt, xdt:[B...,D] b, c:[B...,N] state:[B...,N,D].
std::pair<Value, Value> advance(Value state, Value a, Value dt, Value xdt, Value b, Value c) {
  const Value decay = exp(expand_dims(dt, -2) * a);
  const Value next = state * decay + expand_dims(b, -1) * expand_dims(xdt, -2);
  return {reduce_sum(next * expand_dims(c, -1), {-2}), next};
}

// A loop over columns of any batch: dt, xdt:[B,T,D] b, c:[B,T,N] state:[B,N,D].
ScanResult loop(Value dt, Value xdt, Value a, Value b, Value c, Value state, Value valid) {
  const auto [last, y] = scan_columns(state, {dt, xdt, b, c},
                                      [](Value s, const std::vector<Value>& at) {
                                        const auto [o, next] =
                                            advance(s, at[4], at[0], at[1], at[2], at[3]);
                                        return std::pair(next, o);
                                      },
                                      {valid, {a}});
  return {y, last};
}

// M segments of L columns: dt, xdt:[R,M*L,D] b, c:[R,M*L,N] state:[R,N,D] -> y:[R,M*L,D].
ScanResult one_block(Value dt, Value xdt, Value a, Value b, Value c, Value state, int64_t M) {
  const int64_t R = dt.dim(0), L = dt.dim(1) / M, N = a.dim(0), D = a.dim(1);
  const auto segments = [&](Value x) { return reshape(x, {R * M, L, x.dim(2)}); };
  const ScanResult alone = loop(segments(dt), segments(xdt), a, segments(b), segments(c),
                                fill(dt.graph(), DType::kF32, {R * M, N, D}, 0), {});
  const Value alone_state = reshape(alone.state, {R, M, N, D});
  const Value elapsed = cumsum(reshape(dt, {R, M, L, D}), 2);  // time since the segment's start
  const Value decay =
      exp(expand_dims(reshape(slice(elapsed, 2, L - 1, L), {R, M, D}), -2) * a);  // [R,M,N,D]
  std::vector<Value> starts;  // the state before each segment
  for (int64_t m = 0; m < M; ++m) {
    starts.push_back(expand_dims(state, 1));
    const auto segment = [&](Value array) { return reshape(slice(array, 1, m, m + 1), {R, N, D}); };
    state = state * segment(decay) + segment(alone_state);
  }
  const Value before = expand_dims(concat(starts, 1), 2);          // [R,M,1,N,D]
  const Value faded = exp(expand_dims(elapsed, -2) * a) * before;  // [R,M,L,N,D], fused away
  const Value carried = reduce_sum(faded * reshape(c, {R, M, L, N, 1}), {-2});  // [R,M,L,D]
  return {reshape(alone.y, dt.shape()) + reshape(carried, dt.shape()), state};
}

}  // namespace

ScanResult step_selective_scan(const ScanInputs& in) {
  const Sizes z = check_sizes(in);
  check(z.T == 1, "selective_scan", "the step form wants T = 1, got {}", z.T);
  const auto column = [&](Value array) { return reshape(array, {z.R, array.dim(2)}); };
  const auto [y, state] =
      advance(in.state, in.a, column(in.dt), column(in.dt * in.x), column(in.b), column(in.c));
  return {with_skip(expand_dims(y, 1), in), state};
}

ScanResult naive_selective_scan(const ScanInputs& in) {
  check_sizes(in);
  const ScanResult scan = loop(in.dt, in.dt * in.x, in.a, in.b, in.c, in.state, in.valid);
  return {with_skip(scan.y, in), scan.state};
}

ScanResult chunk_selective_scan(const ScanInputs& in, int64_t segments, int64_t length) {
  check_sizes(in);
  check(segments >= 1 && length >= 1, "selective_scan", "wanted segments of columns, got {} of {}",
        segments, length);
  const auto [state, y] = scan_spans(in.state, {in.dt, in.dt * in.x, in.b, in.c}, segments * length,
                                     [&](Value s, const std::vector<Value>& at) {
                                       const ScanResult part = one_block(at[0], at[1], at[4], at[2],
                                                                         at[3], s, segments);
                                       return std::pair(part.state, part.y);
                                     },
                                     {in.valid, {in.a}});
  return {with_skip(y, in), state};
}

ScanResult selective_scan(Step& step, ScanInputs in) {
  in.valid = step.valid();
  for (Value* part : {&in.x, &in.b, &in.dt}) *part = step.without_padding(*part);
  const int64_t T = step.columns();
  if (T == 1) return step_selective_scan(in);
  // Segments compute each exponential twice to save turns of the loop. On a CPU a turn costs no
  // more than its exponentials, so the loop wins at every T.
  constexpr int64_t kSegments = 32;
  const Target& target = step.target();
  if (target.platform == "cpu" || target.naive_recurrences || T < 2 * kSegments)
    return naive_selective_scan(in);
  const int64_t length = (T + kSegments - 1) / kSegments;
  return chunk_selective_scan(in, kSegments, std::min<int64_t>(32, length));
}

}  // namespace continuo::ops
