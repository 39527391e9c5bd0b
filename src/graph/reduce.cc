#include "graph/reduce.h"

#include <algorithm>

#include "graph/elementwise.h"
#include "graph/shaping.h"

namespace continuo::graph {
namespace {

// `start` is the literal of the operation's neutral element.
Value reduce(const char* op, Value x, std::vector<int64_t> axes, bool keep,
             const std::string& start) {
  for (int64_t& axis : axes) {
    const int64_t given = axis;
    if (axis < 0) axis += x.rank();
    check(axis >= 0 && axis < x.rank(), "reduce", "axis {} outside {}", given, x.describe());
  }
  std::sort(axes.begin(), axes.end());
  check(std::adjacent_find(axes.begin(), axes.end()) == axes.end(), "reduce", "axes repeat: [{}]",
        list(axes));
  std::vector<int64_t> sizes, kept;
  for (int64_t i = 0; i < x.rank(); ++i) {
    const bool gone = std::binary_search(axes.begin(), axes.end(), i);
    if (!gone) sizes.push_back(x.dim(i));
    kept.push_back(gone ? 1 : x.dim(i));
  }
  Graph& graph = x.graph();
  const Value initial = graph.constant(start, x.dtype(), {});
  const Shape shape(sizes);
  const Value result = graph.emit(
      fmt::format("stablehlo.reduce({} init: {}) applies stablehlo.{} across dimensions = [{}] : "
                  "({}, {}) -> {}",
                  graph.ref(x), graph.ref(initial), op, list(axes), x.type().str(),
                  initial.type().str(), Type{x.dtype(), shape}.str()),
      x.dtype(), shape);
  return keep ? reshape(result, Shape(kept)) : result;
}

// The smallest or largest value of a dtype. Written out: a double cannot hold those of i64.
std::string extreme(DType dtype, bool largest) {
  switch (dtype) {
    case DType::kPred:
      return largest ? "true" : "false";
    case DType::kF64:
      return largest ? "0x7FF0000000000000" : "0xFFF0000000000000";
    case DType::kF32:
      return largest ? "0x7F800000" : "0xFF800000";
    case DType::kBF16:
      return largest ? "0x7F80" : "0xFF80";
    case DType::kF16:
      return largest ? "0x7C00" : "0xFC00";
    default:
      break;
  }
  const int bits = static_cast<int>(8 * byte_size(dtype));
  if (dtype == DType::kU8 || dtype == DType::kU16 || dtype == DType::kU32 || dtype == DType::kU64)
    return fmt::format("{}", largest ? ~uint64_t{0} >> (64 - bits) : 0);
  const int64_t high = static_cast<int64_t>(~uint64_t{0} >> (65 - bits));
  return fmt::format("{}", largest ? high : -high - 1);
}

void check_numbers(const char* op, Value x) {
  check(x.dtype() != DType::kPred, op, "wanted numbers, got {}", x.describe());
}

std::string number(DType dtype, int value) {
  return is_float(dtype) ? fmt::format("{}.0", value) : fmt::format("{}", value);
}

int64_t positive_axis(const char* op, Value x, int64_t axis) {
  const int64_t positive = axis < 0 ? axis + x.rank() : axis;
  check(positive >= 0 && positive < x.rank(), op, "axis {} outside {}", axis, x.describe());
  return positive;
}

}  // namespace

Value reduce_sum(Value x, const std::vector<int64_t>& axes, bool keep) {
  check_numbers("reduce_sum", x);
  return reduce("add", x, axes, keep, number(x.dtype(), 0));
}
Value reduce_max(Value x, const std::vector<int64_t>& axes, bool keep) {
  return reduce("maximum", x, axes, keep, extreme(x.dtype(), false));
}
Value reduce_min(Value x, const std::vector<int64_t>& axes, bool keep) {
  return reduce("minimum", x, axes, keep, extreme(x.dtype(), true));
}
Value reduce_prod(Value x, const std::vector<int64_t>& axes, bool keep) {
  check_numbers("reduce_prod", x);
  return reduce("multiply", x, axes, keep, number(x.dtype(), 1));
}
Value reduce_any(Value x, const std::vector<int64_t>& axes, bool keep) {
  check(x.dtype() == DType::kPred, "reduce_any", "wanted i1, got {}", x.describe());
  return reduce("or", x, axes, keep, "false");
}
Value reduce_all(Value x, const std::vector<int64_t>& axes, bool keep) {
  check(x.dtype() == DType::kPred, "reduce_all", "wanted i1, got {}", x.describe());
  return reduce("and", x, axes, keep, "true");
}

Value mean(Value x, const std::vector<int64_t>& axes, bool keep) {
  check(is_float(x.dtype()), "mean", "wanted floating point, got {}", x.describe());
  int64_t count = 1;
  for (int64_t axis : axes) count *= x.dim(positive_axis("mean", x, axis));
  check(count > 0, "mean", "wanted at least one element, got {}", x.describe());
  return reduce_sum(x, axes, keep) * (1.0 / static_cast<double>(count));
}

Value argmax(Value x, int64_t axis) {
  axis = positive_axis("argmax", x, axis);
  check(x.dim(axis) >= 1, "argmax", "wanted at least one element, got {}", x.describe());
  const Value top = reduce_max(x, {axis}, true);
  const Value index = iota(x.graph(), DType::kI32, x.shape(), axis);
  const Value none = constant(x.graph(), DType::kI32, static_cast<double>(x.dim(axis) - 1));
  return reduce_min(select(compare(x, Compare::kEq, top), index, none), {axis});
}

Value softmax(Value x, int64_t axis) {
  const Value weights = exp(x - reduce_max(x, {axis}, true));
  return weights / reduce_sum(weights, {axis}, true);
}

Value cumsum(Value x, int64_t axis) {
  axis = positive_axis("cumsum", x, axis);
  const int64_t size = x.dim(axis);
  for (int64_t shift = 1; shift < size; shift *= 2)
    x = x + pad(slice(x, axis, 0, size - shift), axis, shift, 0);
  return x;
}

std::vector<Value> sort(Value x, const std::vector<Value>& others, int64_t axis, bool descending) {
  axis = positive_axis("sort", x, axis);
  std::vector<Value> operands{x};
  operands.insert(operands.end(), others.begin(), others.end());
  Graph& graph = graph_of("sort", operands);
  std::vector<Type> scalars, results;
  for (Value operand : operands) {
    check(operand.shape() == x.shape(), "sort", "wanted operands of {}, got {}", x.shape(),
          operand.describe());
    scalars.insert(scalars.end(), 2, Type{operand.dtype(), {}});
    results.push_back(operand.type());
  }
  const Graph::Region region = graph.region(scalars, [&](std::span<const Value> a) {
    return std::vector<Value>{compare(a[0], descending ? Compare::kGt : Compare::kLt, a[1])};
  });
  std::string types;
  for (const Type& type : results) types += (types.empty() ? "" : ", ") + type.str();
  return graph.emit(
      fmt::format("\"stablehlo.sort\"({}) <{{dimension = {} : i64, is_stable = true}}> ({}) : "
                  "({}) -> ({})",
                  graph.refs(operands), axis, region.text, types, types),
      results);
}

TopK top_k(Value x, int64_t k) {
  check(x.rank() >= 1 && k >= 1 && k <= x.dim(-1), "top_k", "wanted 1 <= k <= {}, got k={} for {}",
        x.rank() ? x.dim(-1) : 0, k, x.describe());
  const Value index = iota(x.graph(), DType::kI32, x.shape(), x.rank() - 1);
  const std::vector<Value> sorted = sort(x, {index}, -1, true);
  return TopK{slice(sorted[0], -1, 0, k), slice(sorted[1], -1, 0, k)};
}

}  // namespace continuo::graph
