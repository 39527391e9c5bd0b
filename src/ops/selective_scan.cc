#include "ops/selective_scan.h"

#include <algorithm>

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

// Element `index` along an axis, which goes.
Value at(Value array, Value index, int64_t axis) {
  std::vector<Value> starts(static_cast<size_t>(array.rank()),
                            constant(array.graph(), DType::kI32, 0));
  starts[static_cast<size_t>(axis)] = index;
  std::vector<int64_t> sizes = array.shape().dims();
  sizes[static_cast<size_t>(axis)] = 1;
  const Value one = dynamic_slice(array, starts, sizes);
  sizes.erase(sizes.begin() + axis);
  return reshape(one, Shape(sizes));
}

Value put_at(Value array, Value part, Value index, int64_t axis) {
  std::vector<Value> starts(static_cast<size_t>(array.rank()),
                            constant(array.graph(), DType::kI32, 0));
  starts[static_cast<size_t>(axis)] = index;
  return dynamic_update_slice(array, expand_dims(part, axis), starts);
}

// A loop over axis `axis` of dt, xdt:[...,D] and b, c:[...,N].
ScanResult loop(Value dt, Value xdt, Value a, Value b, Value c, Value state, int64_t axis) {
  Graph& graph = dt.graph();
  const Values done =
      for_loop(constant(graph, DType::kI32, double(dt.dim(axis))),
               {fill(graph, DType::kF32, dt.shape(), 0), state, a, dt, xdt, b, c},
               [&](Value t, std::span<const Value> v) {
                 const auto [y, next] = advance(v[1], v[2], at(v[3], t, axis), at(v[4], t, axis),
                                                at(v[5], t, axis), at(v[6], t, axis));
                 return Values{put_at(v[0], y, t, axis), next, v[2], v[3], v[4], v[5], v[6]};
               });
  return {done[0], done[1]};
}

// M segments of L columns: dt, xdt:[R,M,L,D] b, c:[R,M,L,N] state:[R,N,D] -> y:[R,M,L,D].
ScanResult one_block(Value dt, Value xdt, Value a, Value b, Value c, Value state) {
  Graph& graph = dt.graph();
  const int64_t R = dt.dim(0), M = dt.dim(1), L = dt.dim(2), N = a.dim(0), D = a.dim(1);
  const ScanResult alone = loop(dt, xdt, a, b, c, fill(graph, DType::kF32, {R, M, N, D}, 0), 2);
  const Value elapsed = cumsum(dt, 2);  // [R,M,L,D]: time since the segment's start
  const Value decay =
      exp(expand_dims(reshape(slice(elapsed, 2, L - 1, L), {R, M, D}), -2) * a);  // [R,M,N,D]
  std::vector<Value> starts;  // the state before each segment
  for (int64_t m = 0; m < M; ++m) {
    starts.push_back(expand_dims(state, 1));
    const auto segment = [&](Value array) { return reshape(slice(array, 1, m, m + 1), {R, N, D}); };
    state = state * segment(decay) + segment(alone.state);
  }
  const Value before = expand_dims(concat(starts, 1), 2);              // [R,M,1,N,D]
  const Value faded = exp(expand_dims(elapsed, -2) * a) * before;      // [R,M,L,N,D], fused away
  const Value carried = reduce_sum(faded * expand_dims(c, -1), {-2});  // [R,M,L,D]
  return {alone.y + carried, state};
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
  const ScanResult scan = loop(in.dt, in.dt * in.x, in.a, in.b, in.c, in.state, 1);
  return {with_skip(scan.y, in), scan.state};
}

ScanResult chunk_selective_scan(const ScanInputs& in, int64_t segments, int64_t length) {
  const Sizes z = check_sizes(in);
  check(segments >= 1 && length >= 1, "selective_scan", "wanted segments of columns, got {} of {}",
        segments, length);
  Graph& graph = in.x.graph();
  const int64_t block = segments * length, count = (z.T + block - 1) / block;
  const auto blocks = [&](Value array) {  // [R,count,M,L,..]; dt = 0 in the padding
    return reshape(pad(array, 1, 0, count * block - z.T),
                   {z.R, count, segments, length, array.dim(2)});
  };
  const Values inputs{blocks(in.dt), blocks(in.dt * in.x), blocks(in.b), blocks(in.c)};
  Values carried{fill(graph, DType::kF32, inputs[0].shape(), 0), in.state, in.a};
  carried.insert(carried.end(), inputs.begin(), inputs.end());
  const Values done = for_loop(
      constant(graph, DType::kI32, double(count)), carried, [&](Value i, std::span<const Value> v) {
        const ScanResult part =
            one_block(at(v[3], i, 1), at(v[4], i, 1), v[2], at(v[5], i, 1), at(v[6], i, 1), v[1]);
        Values next(v.begin(), v.end());
        next[0] = put_at(v[0], part.y, i, 1);
        next[1] = part.state;
        return next;
      });
  const Value y = reshape(done[0], {z.R, count * block, z.D});
  return {with_skip(slice(y, 1, 0, z.T), in), done[1]};
}

ScanResult selective_scan(Step& step, const ScanInputs& in) {
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
