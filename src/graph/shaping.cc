#include "graph/shaping.h"

#include <algorithm>

#include "graph/elementwise.h"

namespace continuo::graph {
namespace {

int64_t axis_of(const char* op, Value x, int64_t axis, int64_t extra = 0) {
  const int64_t rank = x.rank() + extra;
  const int64_t positive = axis < 0 ? axis + rank : axis;
  check(positive >= 0 && positive < rank, op, "axis {} outside {}", axis, x.describe());
  return positive;
}

}  // namespace

Value reshape(Value x, Shape shape) {
  int64_t known = 1, unknown = -1;
  for (int64_t i = 0; i < shape.rank(); ++i) {
    if (shape[i] != -1) {
      check(shape[i] >= 0 && !__builtin_mul_overflow(known, shape[i], &known), "reshape",
            "wanted sizes >= 0, got {}", shape);
      continue;
    }
    check(unknown < 0, "reshape", "only one size may be -1, got {}", shape);
    unknown = i;
  }
  if (unknown >= 0) {
    check(known > 0 && x.shape().elements() % known == 0, "reshape", "cannot view {} as {}",
          x.describe(), shape);
    shape[unknown] = x.shape().elements() / known;
  }
  check(shape.elements() == x.shape().elements(), "reshape", "wanted {} elements for {}, got {}",
        shape.elements(), shape, x.describe());
  if (shape == x.shape()) return x;
  Graph& graph = x.graph();
  return graph.emit(fmt::format("stablehlo.reshape {} : ({}) -> {}", graph.ref(x), x.type().str(),
                                Type{x.dtype(), shape}.str()),
                    x.dtype(), shape);
}

Value transpose(Value x, const Dims& permutation) {
  Dims sorted = permutation;
  std::sort(sorted.begin(), sorted.end());
  bool identity = true;
  check(static_cast<int64_t>(permutation.size()) == x.rank(), "transpose",
        "wanted {} axes, got [{}] for {}", x.rank(), list(permutation), x.describe());
  for (int64_t i = 0; i < x.rank(); ++i)
    check(sorted[static_cast<size_t>(i)] == i, "transpose", "wanted a permutation, got [{}]",
          list(permutation));
  Dims dims;
  for (int64_t i = 0; i < x.rank(); ++i) {
    identity = identity && permutation[static_cast<size_t>(i)] == i;
    dims.push_back(x.dim(permutation[static_cast<size_t>(i)]));
  }
  if (identity) return x;
  Graph& graph = x.graph();
  const Shape shape(dims);
  return graph.emit(fmt::format("stablehlo.transpose {}, dims = [{}] : ({}) -> {}", graph.ref(x),
                                list(permutation), x.type().str(), Type{x.dtype(), shape}.str()),
                    x.dtype(), shape);
}

Value expand_dims(Value x, int64_t axis) {
  axis = axis_of("expand_dims", x, axis, 1);
  Dims dims = x.shape().dims();
  dims.insert(dims.begin() + axis, 1);
  return reshape(x, Shape(dims));
}

Value broadcast_in_dim(Value x, Shape shape, const Dims& dims) {
  check(static_cast<int64_t>(dims.size()) == x.rank(), "broadcast_in_dim",
        "wanted {} dims, got [{}]", x.rank(), list(dims));
  for (int64_t i = 0; i < x.rank(); ++i) {
    const int64_t place = dims[static_cast<size_t>(i)];
    check(
        place >= 0 && place < shape.rank() && (i == 0 || place > dims[static_cast<size_t>(i - 1)]),
        "broadcast_in_dim", "wanted rising dims inside {}, got [{}]", shape, list(dims));
    check(x.dim(i) == shape[place], "broadcast_in_dim", "dims [{}] put {} into {}", list(dims),
          x.describe(), shape);
  }
  Graph& graph = x.graph();
  return graph.emit(
      fmt::format("stablehlo.broadcast_in_dim {}, dims = [{}] : ({}) -> {}", graph.ref(x),
                  list(dims), x.type().str(), Type{x.dtype(), shape}.str()),
      x.dtype(), shape);
}

Value concat(const std::vector<Value>& parts, int64_t axis) {
  Graph& graph = graph_of("concatenate", parts);
  axis = axis_of("concatenate", parts[0], axis);
  if (parts.size() == 1) return parts[0];
  Shape shape = parts[0].shape();
  shape[axis] = 0;
  for (Value part : parts) {
    check(part.dtype() == parts[0].dtype() && part.rank() == shape.rank(), "concatenate",
          "wanted parts like {}, got {}", parts[0].describe(), part.describe());
    for (int64_t i = 0; i < shape.rank(); ++i)
      check(i == axis || part.dim(i) == shape[i], "concatenate",
            "axis {}: wanted parts like {}, got {}", axis, parts[0].describe(), part.describe());
    shape[axis] += part.dim(axis);
  }
  return graph.emit(
      fmt::format("stablehlo.concatenate {}, dim = {} : ({}) -> {}", graph.refs(parts), axis,
                  types_of(parts), Type{parts[0].dtype(), shape}.str()),
      parts[0].dtype(), shape);
}

Value slice(Value x, int64_t axis, int64_t begin, int64_t end, int64_t stride) {
  axis = axis_of("slice", x, axis);
  check(begin >= 0 && begin <= end && end <= x.dim(axis) && stride > 0, "slice",
        "wanted 0 <= begin <= end <= {}, got {}:{}:{} of {}", x.dim(axis), begin, end, stride,
        x.describe());
  if (begin == 0 && end == x.dim(axis) && stride == 1) return x;
  Shape shape = x.shape();
  std::string ranges;
  for (int64_t i = 0; i < x.rank(); ++i) {
    ranges += i == 0 ? "" : ", ";
    ranges +=
        i == axis ? fmt::format("{}:{}:{}", begin, end, stride) : fmt::format("0:{}:1", x.dim(i));
  }
  shape[axis] = end == begin ? 0 : (end - begin - 1) / stride + 1;
  Graph& graph = x.graph();
  return graph.emit(fmt::format("stablehlo.slice {} [{}] : ({}) -> {}", graph.ref(x), ranges,
                                x.type().str(), Type{x.dtype(), shape}.str()),
                    x.dtype(), shape);
}

std::vector<Value> split(Value x, int64_t axis, const Dims& sizes) {
  axis = axis_of("split", x, axis);
  int64_t total = 0;
  for (int64_t size : sizes) total += size;
  check(total == x.dim(axis), "split", "sizes [{}] sum to {}, wanted {} of {}", list(sizes), total,
        x.dim(axis), x.describe());
  std::vector<Value> parts;
  int64_t begin = 0;
  for (int64_t size : sizes) {
    parts.push_back(slice(x, axis, begin, begin + size));
    begin += size;
  }
  return parts;
}

Value pad(Value x, int64_t axis, int64_t low, int64_t high, double value) {
  axis = axis_of("pad", x, axis);
  check(low >= 0 && high >= 0, "pad", "wanted sizes >= 0, got {} and {}", low, high);
  if (low == 0 && high == 0) return x;
  Dims lows(static_cast<size_t>(x.rank()), 0), highs = lows, inner = lows;
  lows[static_cast<size_t>(axis)] = low;
  highs[static_cast<size_t>(axis)] = high;
  Shape shape = x.shape();
  shape[axis] += low + high;
  Graph& graph = x.graph();
  const Value filler = constant(graph, x.dtype(), value);
  return graph.emit(
      fmt::format("stablehlo.pad {}, {}, low = [{}], high = [{}], interior = [{}] : ({}, {}) -> {}",
                  graph.ref(x), graph.ref(filler), list(lows), list(highs), list(inner),
                  x.type().str(), filler.type().str(), Type{x.dtype(), shape}.str()),
      x.dtype(), shape);
}

Value reverse(Value x, int64_t axis) {
  axis = axis_of("reverse", x, axis);
  Graph& graph = x.graph();
  return graph.emit(
      fmt::format("stablehlo.reverse {}, dims = [{}] : {}", graph.ref(x), axis, x.type().str()),
      x.dtype(), x.shape());
}

Value repeat(Value x, int64_t axis, int64_t times) {
  axis = axis_of("repeat", x, axis);
  check(times >= 1, "repeat", "wanted times >= 1, got {}", times);
  if (times == 1) return x;
  Dims stretched = x.shape().dims(), dims, merged = x.shape().dims();
  stretched.insert(stretched.begin() + axis + 1, times);
  for (int64_t i = 0; i < x.rank(); ++i) dims.push_back(i <= axis ? i : i + 1);
  merged[static_cast<size_t>(axis)] *= times;
  return reshape(broadcast_in_dim(x, Shape(stretched), dims), Shape(merged));
}

}  // namespace continuo::graph
