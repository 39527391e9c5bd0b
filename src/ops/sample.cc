#include "ops/sample.h"

#include <functional>
#include <limits>
#include <vector>

#include "graph/control.h"
#include "graph/reduce.h"
#include "graph/shaping.h"
#include "ops/sample_math.h"

namespace continuo::ops {

using namespace graph;

namespace {

constexpr double kWordMin = std::numeric_limits<int32_t>::min();
constexpr double kKeyOfMinusInf = -2139095041.0;  // order_key() of -inf

Value bits_of(Value key) {  // the way back too: key -> bits
  const Value magnitude = constant(key.graph(), DType::kI32, 0x7fffffff);
  return select(compare(key, Compare::kLt, 0.0), logical_xor(key, magnitude), key);
}

// i32 in the order of the floats; both zeros 0, NaN the least. On bits throughout: a device may
// take subnormal numbers for zeros.
Value order_key(Value x) {
  const Value bits = bitcast(x, DType::kI32);
  const Value magnitude = logical_and(bits, constant(x.graph(), DType::kI32, 0x7fffffff));
  const Value zero = constant(x.graph(), DType::kI32, 0);
  const Value least = constant(x.graph(), DType::kI32, kWordMin);
  const Value key = select(compare(magnitude, Compare::kEq, 0.0), zero, bits_of(bits));
  return select(compare(magnitude, Compare::kGt, double(0x7f800000)), least, key);
}

// (logit - largest) / temperature in Q24 i32, not below kLowest.
Value below_largest(Value logits, Value keys, Value largest_key, Value temperature) {
  using namespace sampling;
  Graph& g = logits.graph();
  const double scale = 1 << 24;
  // One product: the quotient of a row's numbers would be spelled differently by each compiler.
  const Value inverse = constant(g, DType::kF32, scale) /
                        clamp(temperature, kLeastTemperature, kMostTemperature);
  const Value largest = bitcast(bits_of(largest_key), DType::kF32);
  const Value lowest = constant(g, DType::kF32, kLowest * scale);
  const Value scaled = select(compare(keys, Compare::kGt, kKeyOfMinusInf),
                              (logits - largest) * inverse, lowest);
  const Value whole = convert(maximum(scaled, lowest), DType::kI32);
  return select(compare(keys, Compare::kEq, largest_key), constant(g, DType::kI32, 0), whole);
}

// The largest u32 t [R,1] for which `enough`, which holds for no t + 1 if not for t, holds; 0 where
// it holds for none. enough: [R,N] u32 -> [R,N] pred.
#ifndef SAMPLE_BITS
#define SAMPLE_BITS 1
#define SAMPLE_LAYOUT 1
#endif
constexpr int kBits = SAMPLE_BITS;
Value largest_where(Graph& g, int64_t rows, const std::function<Value(Value)>& enough) {
  Value found = fill(g, DType::kU32, {rows, 1}, 0);
  for (int shift = 32 - kBits; shift >= 0; shift -= kBits) {
    const Value steps = shift_left(iota(g, DType::kU32, {1, (1 << kBits) - 1}, 1) +
                                       constant(g, DType::kU32, 1),
                                   constant(g, DType::kU32, shift));
    const Value passed = convert(enough(found + steps), DType::kU32);
    found = found + shift_left(reduce_sum(passed, {1}, true), constant(g, DType::kU32, shift));
  }
  return found;
}

// weights:[R,V], ukeys:[R,V], at least:[R,N] u32 -> [R,N]: the sum of those whose key is at least.
Value sum_from(Value weights, Value ukeys, Value at_least) {
#if SAMPLE_LAYOUT == 0
  const Value each = select(compare(expand_dims(ukeys, 2), Compare::kGe, expand_dims(at_least, 1)),
                            expand_dims(weights, 2), constant(weights.graph(), weights.dtype(), 0));
  return reduce_sum(each, {1});
#else
  std::vector<Value> parts;
  for (int64_t i = 0; i < at_least.dim(1); ++i)
    parts.push_back(reduce_sum(select(compare(ukeys, Compare::kGe, slice(at_least, 1, i, i + 1)),
                              weights, constant(weights.graph(), weights.dtype(), 0)), {1}, true));
  return parts.size() == 1 ? parts[0] : concat(parts, 1);
#endif
}

Value column(Value x) { return expand_dims(x, 1); }

// The mask [R,V] of what top-k, top-p and min-p leave.
Value kept(Value below, Value keys, const SampleInputs& in) {
  using namespace sampling;
  Graph& g = keys.graph();
  const int64_t R = keys.dim(0);
  const auto u64 = [&](double value) { return constant(g, DType::kU64, value); };
  const Value zero = constant(g, DType::kU32, 0);
  const Value ukeys = optimization_barrier(
      logical_xor(bitcast(keys, DType::kU32), constant(g, DType::kU32, 2147483648.0)));

  const Value k = column(in.top_k), ones = broadcast_to(constant(g, DType::kI32, 1), keys.shape());
  const Value from_k = select(
      compare(k, Compare::kGt, 0.0),
      largest_where(g, R, [&](Value t) { return compare(sum_from(ones, ukeys, t), Compare::kGe, k); }),
      zero);

  const Exponential<Value> e = exponential(bitcast(neg(below), DType::kU32));
  const Value octaves = convert(minimum(e.octaves, constant(g, DType::kU32, 63)), DType::kU64);
  const Value all = shift_right(shift_left(convert(e.fraction, DType::kU64), u64(kWeightBits - 31)), octaves);
  const Value weights =
      optimization_barrier(select(compare(ukeys, Compare::kGe, from_k), all, u64(0)));
  const Value total = reduce_sum(weights, {1}, true);
  // p * total without losing a bit: p in Q32 times total's halves.
  const Value p = convert(column(in.top_p) * 4294967296.0, DType::kU64);
  const Value low = logical_and(total, u64(4294967295.0));
  const Value wanted = maximum(
      shift_right(total, u64(32)) * p + shift_right(low * p, u64(32)), u64(1));
  const Value from_p = select(
      compare(column(in.top_p), Compare::kLt, 1.0),
      largest_where(g, R, [&](Value t) { return compare(sum_from(weights, ukeys, t), Compare::kGe, wanted); }),
      zero);

  const Value least = convert(column(in.min_p) * 17592186044416.0, DType::kU64);
  return logical_and(compare(ukeys, Compare::kGe, maximum(from_k, from_p)),
                     compare(weights, Compare::kGe, least));
}

}  // namespace

Value sample(Value logits, const SampleInputs& in, bool truncate) {
  using namespace sampling;
  check(logits.rank() == 2 && logits.dtype() == DType::kF32 && logits.dim(1) <= (1 << 18), "sample",
        "wanted logits:[R,V] f32 with V <= 2^18, got {}", logits.describe());
  Graph& g = logits.graph();
  const Value keys = order_key(logits);
  const Value largest = reduce_max(keys, {1}, true);
  const Value below = below_largest(logits, keys, largest, column(in.temperature));
  const Value words = bitcast(in.key, DType::kU32);
  const Value id = iota(g, DType::kU32, logits.shape(), 1);
  const Value noise = gumbel(hash(slice(words, 1, 0, 1), slice(words, 1, 1, 2), id));
  Value score = below + bitcast(noise, DType::kI32);
  if (truncate)
    score = select(kept(below, keys, in), score, constant(g, DType::kI32, kWordMin));
  score = select(compare(column(in.temperature), Compare::kEq, 0.0), keys, score);
  return argmax(optimization_barrier(score), 1);
}

}  // namespace continuo::ops
