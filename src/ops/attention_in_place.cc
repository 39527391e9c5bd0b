#include "ops/attention_in_place.h"

#include <limits>

namespace continuo::ops {
namespace {

Value kernel(Step& step, Value q, Value keys, Value values, int64_t value_dim,
             const AttentionOptions& options) {
  Values operands{convert(q, DType::kF32), keys, values, step.slot(), step.start(), step.length()};
  if (options.sinks.valid()) operands.push_back(convert(options.sinks, DType::kF32));
  const std::string attributes =
      fmt::format("scale = {:.9e} : f32, softcap = {:.9e} : f32, window = {} : i64", options.scale,
                  options.softcap, options.window);
  const Type result{DType::kF32, {q.dim(0), q.dim(1), q.dim(2), value_dim}};
  return custom_call("continuo.attention", operands, {result}, attributes)[0];
}

// --- the loop ---

// What the loop's body reads and does not change, in the order it is carried.
enum Carried : size_t { kTop, kSum, kMixed, kQueries, kKeys, kValues, kSlot, kOwn, kFirst };

struct Loop {
  int64_t R, T, Hk, G, D, Dv, S, block;
  bool rows_are_slots;
  AttentionOptions options;
  Precision precision;
};

Value number(Value like, double value, DType dtype = DType::kI32) {
  return constant(like.graph(), dtype, value);
}

// Positions [begin, begin + block) of the rows' slots: [R,Hk,block,D].
Value block_of(const Loop& loop, Value array, Value slot, Value begin) {
  const Value zero = number(array, 0);
  const int64_t D = array.dim(3);
  if (loop.rows_are_slots)
    return dynamic_slice(array, {zero, zero, begin, zero}, {loop.R, loop.Hk, loop.block, D});
  Values parts;
  for (int64_t r = 0; r < loop.R; ++r)
    parts.push_back(dynamic_slice(array, {reshape(slice(slot, 0, r, r + 1), {}), zero, begin, zero},
                                  {1, loop.Hk, loop.block, D}));
  return concat(parts, 0);
}

// A block's share of the running softmax: `index` counts blocks from the first that anybody sees.
Values add_block(const Loop& loop, Value index, std::span<const Value> carried) {
  const Value keys = carried[kKeys], values = carried[kValues], own = carried[kOwn];
  const Value wanted = (index + carried[kFirst]) * double(loop.block);
  // The last block begins early where the slot ends within it: what came before is masked.
  const Value begin = minimum(wanted, number(index, double(loop.S - loop.block)));
  const Value k = block_of(loop, keys, carried[kSlot], begin);
  Value scores =
      dot_general(carried[kQueries], k, {{0, 1}, {0, 1}, {3}, {3}}, DType::kF32, loop.precision);
  scores = reshape(scores, {loop.R, loop.Hk, loop.G, loop.T, loop.block});
  const double cap = loop.options.softcap;
  if (cap > 0) scores = tanh(scores / cap) * cap;
  const Value position = iota(index.graph(), DType::kI32, {loop.R, loop.T, loop.block}, 2) + begin;
  Value seen = logical_and(compare(position, Compare::kLe, expand_dims(own, 2)),
                           compare(position, Compare::kGe, wanted));
  if (loop.options.window > 0)
    seen = logical_and(
        seen, compare(position, Compare::kGt, expand_dims(own - double(loop.options.window), 2)));
  const Value lowest = number(index, -std::numeric_limits<double>::infinity(), DType::kF32);
  scores = select(reshape(seen, {loop.R, 1, 1, loop.T, loop.block}), scores, lowest);
  const Value top = maximum(carried[kTop], reduce_max(scores, {-1}, true));
  const Value shift =
      select(compare(top, Compare::kEq, lowest), number(index, 0, DType::kF32), top);
  const Value weights = exp(scores - shift), keep = exp(carried[kTop] - shift);
  const Value v = slice(block_of(loop, values, carried[kSlot], begin), 3, 0, loop.Dv);
  const Value mixed = dot_general(
      reshape(convert(weights, v.dtype()), {loop.R, loop.Hk, loop.G * loop.T, loop.block}), v,
      {{0, 1}, {0, 1}, {3}, {2}}, DType::kF32, loop.precision);
  Values next(carried.begin(), carried.end());
  next[kTop] = top;
  next[kSum] = carried[kSum] * keep + reduce_sum(weights, {-1}, true);
  next[kMixed] =
      carried[kMixed] * keep + reshape(mixed, {loop.R, loop.Hk, loop.G, loop.T, loop.Dv});
  return next;
}

Value over_blocks(Step& step, Value q, Value keys, Value values, int64_t value_dim,
                  const AttentionOptions& options) {
  const int64_t Hk = keys.dim(1), G = q.dim(2) / Hk, S = keys.dim(2);
  const Loop loop{q.dim(0),
                  q.dim(1),
                  Hk,
                  G,
                  q.dim(3),
                  value_dim,
                  S,
                  std::min(step.target().attention_block, S),
                  step.in_place(),
                  options,
                  step.target().exact_dots ? Precision::kHighest : Precision::kDefault};
  const auto filled = [&](double value, int64_t last) {
    return broadcast_to(reshape(number(q, value, DType::kF32), {1, 1, 1, 1, 1}),
                        {loop.R, Hk, G, loop.T, last});
  };
  Value queries =
      transpose(reshape(q * options.scale, {loop.R, loop.T, Hk, G, loop.D}), {0, 2, 3, 1, 4});
  queries = reshape(convert(queries, keys.dtype()), {loop.R, Hk, G * loop.T, loop.D});
  const Value own = minimum(step.positions(), number(q, double(S - 1)));  // [R,T]
  const Value end = select(step.active(), step.start() + step.length(), number(q, 0));
  const Value start = select(step.active(), step.start(), number(q, double(S)));
  Value first = number(q, 0);
  if (options.window > 0)
    first =
        maximum(reduce_min(start, {0}) - double(options.window - 1), first) / double(loop.block);
  const Value blocks = (reduce_max(end, {0}) + double(loop.block - 1)) / double(loop.block);
  const Values initial{filled(-std::numeric_limits<double>::infinity(), 1),
                       filled(0, 1),
                       filled(0, value_dim),
                       queries,
                       keys,
                       values,
                       step.slot(),
                       own,
                       first};
  const Values done = for_loop(
      maximum(blocks - first, number(q, 0)), initial,
      [&](Value index, std::span<const Value> carried) { return add_block(loop, index, carried); });
  Value sum = done[kSum], keep = number(q, 1, DType::kF32);
  if (options.sinks.valid()) {
    const Value sinks = reshape(options.sinks, {1, Hk, G, 1, 1});
    const Value top = maximum(done[kTop], sinks);
    keep = exp(done[kTop] - top);
    sum = sum * keep + exp(sinks - top);
  }
  // Rows that saw nothing are idle.
  const Value divisor =
      select(compare(sum, Compare::kEq, number(q, 0, DType::kF32)), number(q, 1, DType::kF32), sum);
  return reshape(transpose(done[kMixed] * keep / divisor, {0, 3, 1, 2, 4}),
                 {loop.R, loop.T, q.dim(2), value_dim});
}

}  // namespace

Value attend_in_place(Step& step, Value q, Value keys, Value values, int64_t value_dim,
                      const AttentionOptions& options) {
  return step.target().has_attention_kernel()
             ? kernel(step, q, keys, values, value_dim, options)
             : over_blocks(step, q, keys, values, value_dim, options);
}

}  // namespace continuo::ops
