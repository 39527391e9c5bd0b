#include "graph/indexing.h"

#include "graph/elementwise.h"
#include "graph/reduce.h"
#include "graph/shaping.h"

namespace continuo::graph {
namespace {

void check_starts(const char* op, Value x, const std::vector<Value>& starts) {
  check(x.rank() >= 1, op, "wanted at least one dimension, got {}", x.describe());
  check(static_cast<int64_t>(starts.size()) == x.rank(), op, "wanted {} starts, got {} for {}",
        x.rank(), starts.size(), x.describe());
  for (Value start : starts)
    check(start.rank() == 0 && start.dtype() == DType::kI32, op, "wanted scalar i32 starts, got {}",
          start.describe());
}

void check_indices(const char* op, Value indices) {
  check(indices.dtype() == DType::kI32, op, "wanted i32 indices, got {}", indices.describe());
}

Value scatter_rows(const char* op, Value x, Value indices, Value updates, bool unique) {
  Graph& graph = graph_of(op, std::vector<Value>{x, indices, updates});
  check_indices(op, indices);
  check(x.rank() == 2 && indices.rank() == 1 &&
            updates.type() == Type{x.dtype(), Shape{indices.dim(0), x.dim(1)}},
        op, "wanted x:[N,D] indices:[I] updates:[I,D], got {}, {}, {}", x.describe(),
        indices.describe(), updates.describe());
  const bool adds = std::string(op) == "add_rows";
  const Type scalar{x.dtype(), {}};
  const Graph::Region region = graph.region({scalar, scalar}, [&](std::span<const Value> a) {
    return std::vector<Value>{adds ? a[0] + a[1] : a[1]};
  });
  return graph.emit(
      fmt::format("\"stablehlo.scatter\"({}, {}, {}) <{{scatter_dimension_numbers = "
                  "#stablehlo.scatter<update_window_dims = [1], inserted_window_dims = [0], "
                  "scatter_dims_to_operand_dims = [0], index_vector_dim = 1>, "
                  "indices_are_sorted = false, unique_indices = {}}}> ({}) : ({}, {}, {}) -> {}",
                  graph.ref(x), graph.ref(indices), graph.ref(updates), unique, region.text,
                  x.type().str(), indices.type().str(), updates.type().str(), x.type().str()),
      x.dtype(), x.shape());
}

}  // namespace

Value dynamic_slice(Value x, const std::vector<Value>& starts, const std::vector<int64_t>& sizes) {
  check_starts("dynamic_slice", x, starts);
  check(static_cast<int64_t>(sizes.size()) == x.rank(), "dynamic_slice",
        "wanted {} sizes, got [{}]", x.rank(), list(sizes));
  for (int64_t i = 0; i < x.rank(); ++i)
    check(sizes[static_cast<size_t>(i)] >= 0 && sizes[static_cast<size_t>(i)] <= x.dim(i),
          "dynamic_slice", "sizes [{}] do not fit {}", list(sizes), x.describe());
  Graph& graph = x.graph();
  const Shape shape(sizes);
  return graph.emit(fmt::format("stablehlo.dynamic_slice {}, {}, sizes = [{}] : ({}, {}) -> {}",
                                graph.ref(x), graph.refs(starts), list(sizes), x.type().str(),
                                types_of(starts), Type{x.dtype(), shape}.str()),
                    x.dtype(), shape);
}

Value dynamic_update_slice(Value x, Value update, const std::vector<Value>& starts) {
  check_starts("dynamic_update_slice", x, starts);
  check(update.dtype() == x.dtype() && update.rank() == x.rank(), "dynamic_update_slice",
        "wanted an update like {}, got {}", x.describe(), update.describe());
  for (int64_t i = 0; i < x.rank(); ++i)
    check(update.dim(i) <= x.dim(i), "dynamic_update_slice", "{} does not fit into {}",
          update.describe(), x.describe());
  Graph& graph = x.graph();
  return graph.emit(fmt::format("stablehlo.dynamic_update_slice {}, {}, {} : ({}, {}, {}) -> {}",
                                graph.ref(x), graph.ref(update), graph.refs(starts), x.type().str(),
                                update.type().str(), types_of(starts), x.type().str()),
                    x.dtype(), x.shape());
}

Value take_rows(Value x, Value indices) {
  Graph& graph = graph_of("take_rows", std::vector<Value>{x, indices});
  check_indices("take_rows", indices);
  check(x.rank() >= 1 && x.dim(0) >= 1, "take_rows", "wanted x:[N, ...], N >= 1, got {}",
        x.describe());
  std::vector<int64_t> sizes = indices.shape().dims(), slice_sizes = x.shape().dims(), offsets;
  for (int64_t i = 1; i < x.rank(); ++i) {
    offsets.push_back(static_cast<int64_t>(sizes.size()));
    sizes.push_back(x.dim(i));
  }
  slice_sizes[0] = 1;
  const Shape shape(sizes);
  const std::string offset_dims =
      offsets.empty() ? "" : fmt::format("offset_dims = [{}], ", list(offsets));
  return graph.emit(
      fmt::format("\"stablehlo.gather\"({}, {}) <{{dimension_numbers = #stablehlo.gather<{}"
                  "collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = {}>, "
                  "indices_are_sorted = false, slice_sizes = array<i64: {}>}}> : ({}, {}) -> {}",
                  graph.ref(x), graph.ref(indices), offset_dims, indices.rank(), list(slice_sizes),
                  x.type().str(), indices.type().str(), Type{x.dtype(), shape}.str()),
      x.dtype(), shape);
}

Value take_last(Value x, Value indices) {
  check_indices("take_last", indices);
  check(x.rank() == indices.rank() + 1, "take_last", "wanted x:[B...,N] indices:[B...], got {}, {}",
        x.describe(), indices.describe());
  // A mask and a sum: exact (one term is not zero), and cheap beside whatever made x.
  const Value place = iota(x.graph(), DType::kI32, x.shape(), x.rank() - 1);
  const Value hit = compare(place, Compare::kEq, expand_dims(indices, -1));
  return reduce_sum(select(hit, x, constant(x.graph(), x.dtype(), 0)), {-1});
}

Value put_rows(Value x, Value indices, Value updates) {
  return scatter_rows("put_rows", x, indices, updates, true);
}

Value add_rows(Value x, Value indices, Value updates) {
  return scatter_rows("add_rows", x, indices, updates, false);
}

}  // namespace continuo::graph
