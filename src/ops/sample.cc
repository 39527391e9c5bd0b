#include "ops/sample.h"

#include <cmath>
#include <functional>
#include <limits>

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

// The same order in u32, and back.
Value unsigned_key(Value key) {
  return logical_xor(bitcast(key, DType::kU32), constant(key.graph(), DType::kU32, 0x1p31));
}
Value signed_key(Value ukey) {
  return bitcast(logical_xor(ukey, constant(ukey.graph(), DType::kU32, 0x1p31)), DType::kI32);
}

// (logit - largest) / temperature in Q24 i32, not below kLowest.
Value below_largest(Value logits, Value keys, Value largest_key, Value temperature) {
  using namespace sampling;
  Graph& g = logits.graph();
  const double scale = 1 << 24;
  // One product: the quotient of a row's numbers would be spelled differently by each compiler.
  const Value inverse =
      constant(g, DType::kF32, scale) / clamp(temperature, kLeastTemperature, kMostTemperature);
  const Value largest = bitcast(bits_of(largest_key), DType::kF32);
  const Value lowest = constant(g, DType::kF32, kLowest * scale);
  const Value scaled =
      select(compare(keys, Compare::kGt, kKeyOfMinusInf), (logits - largest) * inverse, lowest);
  const Value whole = convert(maximum(scaled, lowest), DType::kI32);
  return select(compare(keys, Compare::kEq, largest_key), constant(g, DType::kI32, 0), whole);
}

Value column(Value x) { return expand_dims(x, 1); }

// 2^kWeightBits e^-x as u64, x: Q24 i32.
Value weight(Value below) {
  using namespace sampling;
  Graph& g = below.graph();
  const Exponential<Value> e = exponential(bitcast(neg(below), DType::kU32));
  const Value octaves = minimum(e.octaves, constant(g, DType::kU32, 63));
  const Value fraction =
      shift_left(convert(e.fraction, DType::kU64), constant(g, DType::kU64, kWeightBits - 31));
  return shift_right(fraction, convert(octaves, DType::kU64));
}

// What a search knows of a row's logits, [R,1] each.
struct Row {
  Value largest_key, temperature;
  // At least a share of the weight of `ukey`: polynomials are not monotone to the last bit.
  Value least_weight(Value ukey) const {
    Graph& g = ukey.graph();
    const Value key = signed_key(ukey);
    const Value logit = bitcast(bits_of(key), DType::kF32);
    const Value most = weight(below_largest(logit, key, largest_key, temperature));
    return most - shift_right(most, constant(g, DType::kU64, 16));
  }
};

// The threshold t:[R,1] u32 from which on the amounts:[R,V] of the ukeys reach `wanted`:[R,1]; any
// that keeps the same tokens as the largest such. A bit at a time: several thresholds at once would
// each read everything again. Rows that are `off` give 0; the loop ends when all rows are certain,
// `least` being a bound of the amount at t.
Value threshold(Value ukeys, Value amounts, Value wanted, Value off,
                const std::function<Value(Value t, const Row&)>& least, const Row& row) {
  Graph& g = ukeys.graph();
  const Shape& shape = wanted.shape();
  enum { kKeys, kAmounts, kWanted, kLargest, kTemperature, kBit, kFound, kDone };
  const Value total = reduce_sum(amounts, {1}, true);
  const Value first = fill(g, DType::kU32, shape, 0);
  const auto certain = [&](Value sum, Value t, Value want, const Row& of) {
    // Unsigned: sum >= want or nothing is certain.
    const Value spare = sum - minimum(want, sum);
    return logical_and(compare(sum, Compare::kGe, want),
                       compare(spare, Compare::kLt, least(t, of)));
  };
  const Values found = while_loop(
      {ukeys, amounts, wanted, row.largest_key, row.temperature,
       constant(g, DType::kU32, std::ldexp(1.0, 31)), first,
       logical_or(off, certain(total, first, wanted, row))},
      [](std::span<const Value> a) {
        return logical_and(compare(a[kBit], Compare::kNe, 0.0),
                           logical_not(reduce_all(a[kDone], {0, 1})));
      },
      [&](std::span<const Value> a) {
        const Value next = logical_or(a[kFound], a[kBit]);
        const Value none = constant(g, amounts.dtype(), 0);
        const Value sum =
            reduce_sum(select(compare(a[kKeys], Compare::kGe, next), a[kAmounts], none), {1}, true);
        const Value takes =
            logical_and(compare(sum, Compare::kGe, a[kWanted]), logical_not(a[kDone]));
        Values after(a.begin(), a.end());
        after[kFound] = select(takes, next, a[kFound]);
        after[kDone] = logical_or(
            a[kDone],
            logical_and(takes, certain(sum, next, a[kWanted], {a[kLargest], a[kTemperature]})));
        after[kBit] = shift_right(a[kBit], constant(g, DType::kU32, 1));
        return after;
      });
  return found[kFound];
}

// The largest such threshold, kDigit bits a pass, whose sums read everything once. Sums fall as
// thresholds rise, so that the number of those that suffice is the next digit.
Value unrolled_threshold(Value ukeys, Value amounts, Value wanted, Value off) {
  Graph& g = ukeys.graph();
  const Value none = constant(g, amounts.dtype(), 0);
  Value found = fill(g, DType::kU32, wanted.shape(), 0);
  constexpr int kDigit = 2;
  for (int shift = 32 - kDigit; shift >= 0; shift -= kDigit) {
    Value digit = fill(g, DType::kU32, wanted.shape(), 0);
    for (int i = 1; i < 1 << kDigit; ++i) {
      const Value next = logical_or(found, constant(g, DType::kU32, std::ldexp(i, shift)));
      const Value sum =
          reduce_sum(select(compare(ukeys, Compare::kGe, next), amounts, none), {1}, true);
      digit = digit + convert(compare(sum, Compare::kGe, wanted), DType::kU32);
    }
    found = logical_or(found, shift_left(digit, constant(g, DType::kU32, shift)));
  }
  return select(off, fill(g, DType::kU32, wanted.shape(), 0), found);
}

// The mask [R,V] of what top-k, top-p and min-p leave.
Value kept(Value below, Value keys, const Row& row, const SampleInputs& in, Search search) {
  Graph& g = keys.graph();
  const auto u64 = [&](double value) { return constant(g, DType::kU64, value); };
  const Value ukeys = unsigned_key(keys);

  const auto threshold_of = [&](Value amounts, Value wanted, Value off, const auto& least) {
    return search == Search::kUnrolled ? unrolled_threshold(ukeys, amounts, wanted, off)
                                       : threshold(ukeys, amounts, wanted, off, least, row);
  };

  const Value k = column(in.top_k);
  const Value from_k = threshold_of(
      fill(g, DType::kU32, keys.shape(), 1), bitcast(k, DType::kU32), compare(k, Compare::kLe, 0.0),
      [](Value t, const Row&) { return fill(t.graph(), DType::kU32, t.shape(), 1); });

  const Value weights = select(compare(ukeys, Compare::kGe, from_k), weight(below), u64(0));
  // p * total without losing a bit: p in Q32 times total's halves.
  const Value total = reduce_sum(weights, {1}, true);
  const Value p = convert(column(in.top_p) * 0x1p32, DType::kU64);
  const Value low = logical_and(total, u64(0xffffffff));
  const Value wanted =
      maximum(shift_right(total, u64(32)) * p + shift_right(low * p, u64(32)), u64(1));
  const Value from_p = threshold_of(weights, wanted, compare(column(in.top_p), Compare::kGe, 1.0),
                                    [](Value t, const Row& of) { return of.least_weight(t); });

  const Value least =
      convert(column(in.min_p) * std::ldexp(1.0, sampling::kWeightBits), DType::kU64);
  return logical_and(compare(ukeys, Compare::kGe, maximum(from_k, from_p)),
                     compare(weights, Compare::kGe, least));
}

}  // namespace

Search search_on(const Target& target) {
  return target.loops_wait ? Search::kUnrolled : Search::kLoop;
}

Value likelihood_key(Value logits) { return order_key(logits); }
Value logit_bits(Value key) { return bits_of(key); }

Value softmax_weights(Value logits) {
  Graph& g = logits.graph();
  const Value keys = order_key(logits);
  const Value one = fill(g, DType::kF32, {logits.dim(0), 1}, 1);
  return weight(below_largest(logits, keys, reduce_max(keys, {1}, true), one));
}

Value sample(Value logits, const SampleInputs& in, bool truncate, Search search) {
  using namespace sampling;
  check(logits.rank() == 2 && logits.dtype() == DType::kF32 && logits.dim(1) <= kMostVocab,
        "sample", "wanted logits:[R,V] f32 with V <= 2^20, got {}", logits.describe());
  Graph& g = logits.graph();
  const Value keys = order_key(logits);
  const Value largest = reduce_max(keys, {1}, true);
  const Value below = below_largest(logits, keys, largest, column(in.temperature));
  const Value words = bitcast(in.key, DType::kU32);
  const Value id = iota(g, DType::kU32, logits.shape(), 1);
  const Value noise = gumbel(hash(slice(words, 1, 0, 1), slice(words, 1, 1, 2), id));
  Value score = below + bitcast(noise, DType::kI32);
  if (truncate)
    score = select(kept(below, keys, {largest, column(in.temperature)}, in, search), score,
                   constant(g, DType::kI32, kWordMin));
  score = select(compare(column(in.temperature), Compare::kEq, 0.0), keys, score);
  return argmax(optimization_barrier(score), 1);
}

}  // namespace continuo::ops
