#include "ops/ssd.h"

#include <algorithm>
#include <limits>

#include "ops/chunks.h"

namespace continuo::ops {
namespace {

struct Sizes {
  int64_t R, T, H, P, G, N, r;
};

Sizes check_sizes(const SsdInputs& in) {
  check(in.x.rank() == 4 && in.b.rank() == 4, "ssd",
        "wanted x:[R,T,H,P] b:[R,T,G,N], got {} and {}", in.x.describe(), in.b.describe());
  const int64_t R = in.x.dim(0), T = in.x.dim(1), H = in.x.dim(2), P = in.x.dim(3);
  const int64_t G = in.b.dim(2), N = in.b.dim(3);
  check(H % G == 0, "ssd", "wanted {} groups to divide {} heads", G, H);
  const auto wants = [](const char* what, Value value, const Shape& shape) {
    check(value.type() == Type{DType::kF32, shape}, "ssd", "{}: wanted f32 {}, got {}", what, shape,
          value.describe());
  };
  wants("x", in.x, {R, T, H, P});
  wants("dt", in.dt, {R, T, H});
  wants("a", in.a, {H});
  wants("b", in.b, {R, T, G, N});
  wants("c", in.c, {R, T, G, N});
  wants("state", in.state, {R, G, N, H / G * P});
  if (in.d.valid()) wants("d", in.d, {H});
  return {R, T, H, P, G, N, H / G};
}

// [..,H] -> [..,H*P]: a head's value at each of its channels.
Value over_channels(Value heads, int64_t P) { return repeat(heads, -1, P); }

Value with_skip(Value y, const SsdInputs& in) {
  return in.d.valid() ? y + in.x * expand_dims(in.d, 1) : y;
}

// One column. decay, xdt:[R,G,r*P] b, c:[R,G,N] -> y:[R,G,r*P] and the next state.
std::pair<Value, Value> advance(Value state, Value decay, Value xdt, Value b, Value c) {
  const Value next = state * expand_dims(decay, 2) + expand_dims(b, 3) * expand_dims(xdt, 2);
  return {reduce_sum(next * expand_dims(c, 3), {2}), next};
}

constexpr int64_t kBlock = 16;  // columns whose pairs are summed one by one

Value triangle(Graph& graph, int64_t size, Compare how) {
  return convert(index_mask(graph, size, how), DType::kF32);
}

// sum of x over j < k <= i for j <= i (of j < k < i where `open`), 0 elsewhere: [...,Q] ->
// [...,Q,Q]. As a product with a triangle every entry is a sum of its own terms only.
Value pair_sums(Value x, bool open) {
  const int64_t Q = x.dim(-1), B = x.shape().elements() / Q;
  Graph& graph = x.graph();
  const Value terms = reshape(x, {B, Q, 1}) * triangle(graph, Q, Compare::kGt);  // [B,k,j]: k > j
  const Value rows = triangle(graph, Q, open ? Compare::kGt : Compare::kGe);     // [i,k]
  std::vector<int64_t> sizes = x.shape().dims();
  sizes.push_back(Q);
  return reshape(einsum("ik,bkj->bij", rows, terms), Shape(sizes));
}

// A chunk of Q columns, heads first. S[i,j] = sum of log_decay over j < k <= i, -inf for j > i. A
// difference of two running sums would lose small entries beside large ones, so S is the sum of
// what block j has after j, of the blocks between, and of what block i has up to i.
Value segment_sums(Value log_decay) {  // [R,H,Q] -> [R,H,Q,Q]
  Graph& graph = log_decay.graph();
  const int64_t R = log_decay.dim(0), H = log_decay.dim(1), Q = log_decay.dim(2);
  const int64_t b = std::min(kBlock, Q), n = (Q + b - 1) / b;
  const Value g = reshape(pad(log_decay, 2, 0, n * b - Q), {R, H, n, b});
  const Value up_to = expand_dims(expand_dims(cumsum(g, 3), 4), 5);  // [R,H,n,b,1,1]
  const Value after =
      reshape(einsum("rhnk,kj->rhnj", g, triangle(graph, b, Compare::kGt)), {R, H, 1, 1, n, b});
  const Value between = reshape(pair_sums(reduce_sum(g, {3}), true), {R, H, n, 1, n, 1});
  const Value inside = expand_dims(pair_sums(g, false), 4);  // [R,H,n,b,1,b]
  const Value same = reshape(index_mask(graph, n, Compare::kEq), {n, 1, n, 1});
  const Value sums = select(same, inside, up_to + between + after);
  const Value square = slice(slice(reshape(sums, {R, H, n * b, n * b}), 2, 0, Q), 3, 0, Q);
  return select(index_mask(graph, Q, Compare::kGe), square,
                constant(graph, DType::kF32, -std::numeric_limits<double>::infinity()));
}

// log_decay:[R,Q,H] xdt:[R,Q,H,P] b, c:[R,Q,G,N] -> {next state, y without the skip}
std::pair<Value, Value> one_chunk(Value log_decay, Value xdt, Value b, Value c, Value state,
                                  Precision precision) {
  const auto product = [&](const char* spec, Value left, Value right) {
    return einsum(spec, left, right, DType::kF32, precision);
  };
  const int64_t R = xdt.dim(0), Q = xdt.dim(1), H = xdt.dim(2), P = xdt.dim(3);
  const int64_t G = b.dim(2), r = H / G;
  log_decay = transpose(log_decay, {0, 2, 1});  // [R,H,Q]
  const Value sums = segment_sums(log_decay);
  // Inside the chunk: (c_i . b_j) exp(S[i,j]) weighs x_j for y_i.
  const Value scores = product("rign,rjgn->rgij", c, b);
  const Value weights =
      reshape(reshape(exp(sums), {R, G, r, Q, Q}) * expand_dims(scores, 2), {R, H, Q, Q});
  const Value inside =
      transpose(product("rhij,rhjp->rhip", weights, transpose(xdt, {0, 2, 1, 3})), {0, 2, 1, 3});
  // From the state before the chunk, decayed to each column.
  const Value from_start = transpose(exp(cumsum(log_decay, 2)), {0, 2, 1});  // [R,Q,H]
  const Value carried = reshape(product("rign,rgnf->rigf", c, state), {R, Q, H, P});
  const Value y = inside + carried * expand_dims(from_start, 3);
  // The state after it: each input decayed to the chunk's end.
  const Value to_end =
      transpose(reshape(exp(slice(sums, 2, Q - 1, Q)), {R, H, Q}), {0, 2, 1});  // [R,Q,H]
  const Value late = reshape(xdt * expand_dims(to_end, 3), {R, Q, G, r * P});
  const Value whole = reshape(slice(from_start, 1, Q - 1, Q), {R, G, 1, r});
  const Value next = state * over_channels(whole, P) + product("rjgn,rjgf->rgnf", b, late);
  return {next, y};
}

}  // namespace

SsdResult step_ssd(const SsdInputs& in) {
  const Sizes z = check_sizes(in);
  check(z.T == 1, "ssd", "the step form wants T = 1, got {}", z.T);
  const Value decay = over_channels(reshape(exp(in.dt * in.a), {z.R, z.G, z.r}), z.P);
  const Value xdt = reshape(in.x * expand_dims(in.dt, 3), {z.R, z.G, z.r * z.P});
  const auto [y, state] =
      advance(in.state, decay, xdt, reshape(in.b, {z.R, z.G, z.N}), reshape(in.c, {z.R, z.G, z.N}));
  return {with_skip(reshape(y, in.x.shape()), in), state};
}

SsdResult naive_ssd(const SsdInputs& in) {
  const Sizes z = check_sizes(in);
  const Shape line{z.R, z.T, z.G, z.r * z.P};
  const Value decay = reshape(over_channels(exp(in.dt * in.a), z.P), line);
  const Value xdt = reshape(in.x * expand_dims(in.dt, 3), line);
  const auto [state, y] = scan_columns(in.state, {decay, xdt, in.b, in.c},
                                       [](Value s, const std::vector<Value>& at) {
                                         const auto [o, next] =
                                             advance(s, at[0], at[1], at[2], at[3]);
                                         return std::pair(next, o);
                                       },
                                       {in.valid, {}});
  return {with_skip(reshape(y, in.x.shape()), in), state};
}

SsdResult chunk_ssd(const SsdInputs& in, int64_t chunk) {
  const Sizes z = check_sizes(in);
  check(chunk >= 1, "ssd", "wanted a chunk of at least 1, got {}", chunk);
  const auto [state, y] = scan_spans(
      in.state, {in.dt * in.a, in.x * expand_dims(in.dt, 3), in.b, in.c}, std::min(chunk, z.T),
      [&](Value s, const std::vector<Value>& at) {
        return one_chunk(at[0], at[1], at[2], at[3], s, in.precision);
      },
      {in.valid, {}});
  return {with_skip(y, in), state};
}

SsdResult ssd(Step& step, SsdInputs in, int64_t chunk) {
  in.valid = step.valid();
  if (step.columns() == 1) return step_ssd(in);
  if (step.target().naive_recurrences) return naive_ssd(in);
  // Longer chunks pay where a loop's turn is dear and matrix products are cheap.
  in.precision = step.target().exact_dots ? Precision::kHighest : Precision::kDefault;
  if (chunk == 0) chunk = step.target().platform == "cpu" ? 64 : 256;
  return chunk_ssd(in, chunk);
}

}  // namespace continuo::ops
