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

// What a chunk of Q columns gives without the state before it.
struct Chunk {
  Value inside;      // [R,Q,H,P]: of y, what the chunk's own columns give
  Value from_start;  // [R,Q,H]: decay from the chunk's start through each column
  Value update;      // [R,G,N,r*P]: the inputs, decayed to the chunk's end
};

// log_decay:[R,Q,H] xdt:[R,Q,H,P] b, c:[R,Q,G,N]
Chunk inside_chunk(Value log_decay, Value xdt, Value b, Value c, Precision precision) {
  const int64_t R = xdt.dim(0), Q = xdt.dim(1), H = xdt.dim(2), P = xdt.dim(3);
  const int64_t G = b.dim(2), r = H / G;
  log_decay = transpose(log_decay, {0, 2, 1});  // [R,H,Q]
  const Value sums = segment_sums(log_decay);
  // (c_i . b_j) exp(S[i,j]) weighs x_j for y_i.
  const Value scores = einsum("rign,rjgn->rgij", c, b, DType::kF32, precision);
  const Value weights =
      reshape(reshape(exp(sums), {R, G, r, Q, Q}) * expand_dims(scores, 2), {R, H, Q, Q});
  const Value inside = einsum("rhij,rjhp->rihp", weights, xdt, DType::kF32, precision);
  const Value to_end =
      transpose(reshape(exp(slice(sums, 2, Q - 1, Q)), {R, H, Q}), {0, 2, 1});  // [R,Q,H]
  const Value late = reshape(xdt * expand_dims(to_end, 3), {R, Q, G, r * P});
  return {inside, transpose(exp(cumsum(log_decay, 2)), {0, 2, 1}),
          einsum("rjgn,rjgf->rgnf", b, late, DType::kF32, precision)};
}

// y without the skip, from the state before the chunk: [R,G,N,r*P].
Value with_state(const Chunk& chunk, Value c, Value state, Precision precision) {
  const Value read = einsum("rign,rgnf->rigf", c, state, DType::kF32, precision);
  return chunk.inside + reshape(read, chunk.inside.shape()) * expand_dims(chunk.from_start, 3);
}

// The state before each of n chunks and after the last, [R,n+1,G,N,r*P]: a sum over what the chunks
// before it leave, decayed by those between. updates: [R,n,G,N,r*P], log_whole:[R,n,H].
Value states_between(Value state, Value updates, Value log_whole, const Sizes& z) {
  const int64_t n = updates.dim(1);
  const Value sums = segment_sums(pad(transpose(log_whole, {0, 2, 1}), 2, 1, 0));
  const Value weights = reshape(exp(sums), {z.R, z.G, z.r, n + 1, n + 1});
  const Value left =
      reshape(concat({expand_dims(state, 1), updates}, 1), {z.R, n + 1, z.G, z.N, z.r, z.P});
  return reshape(einsum("rghij,rjgnhp->rignhp", weights, left), {z.R, n + 1, z.G, z.N, z.r * z.P});
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
        const Chunk parts = inside_chunk(at[0], at[1], at[2], at[3], in.precision);
        const int64_t Q = at[0].dim(1);
        const Value whole = reshape(slice(parts.from_start, 1, Q - 1, Q), {z.R, z.G, 1, z.r});
        return std::pair(s * over_channels(whole, z.P) + parts.update,
                         with_state(parts, at[3], s, in.precision));
      },
      {in.valid, {}});
  return {with_skip(y, in), state};
}

SsdResult parallel_ssd(const SsdInputs& in, int64_t chunk) {
  const Sizes z = check_sizes(in);
  check(chunk >= 1, "ssd", "wanted a chunk of at least 1, got {}", chunk);
  const int64_t Q = std::min(chunk, z.T), n = (z.T + Q - 1) / Q;
  // [R,T,...] -> [R*n,Q,...]
  const auto cut = [&](Value array) {
    std::vector<int64_t> sizes = array.shape().dims();
    sizes[0] = z.R * n;
    sizes[1] = Q;
    return reshape(pad(array, 1, 0, n * Q - z.T), Shape(sizes));
  };
  const Value log_decay = cut(in.dt * in.a), c = cut(in.c);
  const Chunk parts =
      inside_chunk(log_decay, cut(in.x * expand_dims(in.dt, 3)), cut(in.b), c, in.precision);
  const Value states =
      states_between(in.state, reshape(parts.update, {z.R, n, z.G, z.N, z.r * z.P}),
                     reshape(reduce_sum(log_decay, {1}), {z.R, n, z.H}), z);
  const Value before = reshape(slice(states, 1, 0, n), {z.R * n, z.G, z.N, z.r * z.P});
  const Value y = reshape(with_state(parts, c, before, in.precision), {z.R, n * Q, z.H, z.P});
  Value last = reshape(slice(states, 1, n, n + 1), in.state.shape());
  // Decay 1 and input 0 are not enough to keep an idle row's bits: they make +0 of -0.
  if (in.valid.valid())
    last = select(reshape(slice(in.valid, 1, 0, 1), {z.R, 1, 1, 1}), last, in.state);
  return {with_skip(slice(y, 1, 0, z.T), in), last};
}

SsdResult ssd(Step& step, SsdInputs in, int64_t chunk) {
  in.valid = step.valid();
  for (Value* part : {&in.x, &in.b, &in.dt}) *part = step.without_padding(*part);
  if (step.columns() == 1) return step_ssd(in);
  if (step.target().naive_recurrences) return naive_ssd(in);
  // A CPU keeps a short chunk in its cache; a GPU wants few large products, and no loop.
  const bool cpu = step.target().platform == "cpu";
  if (chunk == 0) chunk = cpu ? 64 : 128;
  return cpu || in.x.dim(1) <= chunk ? chunk_ssd(in, chunk) : parallel_ssd(in, chunk);
}

}  // namespace continuo::ops
