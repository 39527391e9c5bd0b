#include "ops/penalise.h"

#include <limits>

#include "graph/control.h"
#include "graph/elementwise.h"
#include "graph/indexing.h"
#include "graph/reduce.h"
#include "graph/shaping.h"
#include "ops/sample.h"

namespace continuo::ops {

using namespace graph;

namespace {

Value column(Value x) { return expand_dims(x, 1); }

// Zero for what is subnormal. Also keeps a product and a sum apart, which would become one fused
// instruction.
Value flushed(Value x) {
  const Value magnitude =
      logical_and(bitcast(x, DType::kI32), constant(x.graph(), DType::kI32, 0x7fffffff));
  return select(compare(magnitude, Compare::kLt, double(0x00800000)),
                constant(x.graph(), DType::kF32, 0), x);
}

Value has(Value marks, Mark flag) {
  return compare(logical_and(marks, constant(marks.graph(), DType::kI32, flag)), Compare::kNe, 0);
}

}  // namespace

Value penalise(Value logits, Value marks, Value bias, const PenaltyInputs& in) {
  check(logits.rank() == 2 && logits.dtype() == DType::kF32, "penalise",
        "wanted logits:[R,V] f32, got {}", logits.describe());
  check(marks.type() == Type{DType::kI32, logits.shape()} && bias.type() == logits.type(),
        "penalise", "wanted marks and bias of {}, got {} and {}", logits.describe(),
        marks.describe(), bias.describe());
  Graph& g = logits.graph();
  const Value times = convert(shift_right(marks, constant(g, DType::kI32, 2)),
                              DType::kF32);  // kOnce = 2^2
  const Value in_answer = compare(marks, Compare::kGe, double(kOnce));

  Value x = flushed(flushed(logits) + bias);
  const Value factor =
      select(compare(x, Compare::kGt, 0.0), column(in.reciprocal), column(in.repetition));
  x = select(logical_or(has(marks, kInPrompt), in_answer), flushed(x * factor), x);
  const Value lost = flushed(flushed(column(in.frequency) * times) + column(in.presence));
  x = select(in_answer, flushed(x - lost), x);
  const Value too_early =
      logical_and(has(marks, kEndsAnswer), compare(column(in.unfinished), Compare::kNe, 0));
  x = select(too_early, constant(g, DType::kF32, -std::numeric_limits<double>::infinity()), x);
  return select(compare(column(in.on), Compare::kNe, 0), x, logits);
}

namespace {

struct Likeliest {
  Value ids, logits;  // [R,most] i32
};

// One token a round: the next in the order of (logit, -id).
Likeliest likeliest(Value logits, Value wanted, int64_t most) {
  Graph& g = logits.graph();
  const int64_t R = logits.dim(0), V = logits.dim(1);
  constexpr double kNobody = std::numeric_limits<int32_t>::min();
  // NaN has the least key, which here means "already taken".
  const Value keys = maximum(likelihood_key(logits), constant(g, DType::kI32, kNobody + 1));
  const Value nothing = fill(g, DType::kI32, {R, most}, 0);
  const Value before = fill(g, DType::kI32, {R, 1}, std::numeric_limits<int32_t>::max());
  enum { kKeys, kIds, kLogits, kKey, kId };
  const Values found = for_loop(
      reduce_max(wanted, {0}), {keys, nothing, nothing, before, fill(g, DType::kI32, {R, 1}, -1)},
      [&](Value index, std::span<const Value> a) {
        const Value id = iota(g, DType::kI32, {R, V}, 1);
        const Value later = logical_or(compare(a[kKeys], Compare::kLt, a[kKey]),
                                       logical_and(compare(a[kKeys], Compare::kEq, a[kKey]),
                                                   compare(id, Compare::kGt, a[kId])));
        const Value open = select(later, a[kKeys], constant(g, DType::kI32, kNobody));
        const Value key = reduce_max(open, {1}, true);
        const Value winner = reduce_min(
            select(compare(open, Compare::kEq, key), id, constant(g, DType::kI32, double(V - 1))),
            {1}, true);
        const Value place = compare(iota(g, DType::kI32, {R, most}, 1), Compare::kEq, index);
        return Values{a[kKeys], select(place, winner, a[kIds]),
                      select(place, logit_bits(key), a[kLogits]), key, winner};
      });
  return {found[kIds], found[kLogits]};
}

}  // namespace

Value report(Value logits, Value tokens, Value wanted, int64_t most) {
  check(logits.rank() == 2 && most >= 1 && most <= logits.dim(1), "report",
        "wanted logits:[R,V] of at least {} tokens, got {}", most, logits.describe());
  Graph& g = logits.graph();
  const int64_t R = logits.dim(0), V = logits.dim(1);
  const Value total = reduce_sum(softmax_weights(logits), {1}, true);
  const auto word = [&](Value u64) { return bitcast(convert(u64, DType::kU32), DType::kI32); };
  const Value low = word(logical_and(total, constant(g, DType::kU64, 0xffffffff)));
  const Value high = word(shift_right(total, constant(g, DType::kU64, 32)));
  const Value largest = logit_bits(reduce_max(likelihood_key(logits), {1}, true));
  const Value id = clamp(tokens, 0, double(V - 1));
  const Value chosen = take_rows(reshape(bitcast(logits, DType::kI32), {R * V, 1}),
                                 iota(g, DType::kI32, {R}, 0) * double(V) + id);
  const Likeliest best = likeliest(logits, wanted, most);
  return concat({low, high, largest, chosen, best.ids, best.logits}, 1);
}

}  // namespace continuo::ops
