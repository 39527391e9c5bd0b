// Sums, extremes, sorts: operations over whole axes.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace continuo::graph {

// Over `axes` (negative from the end); keep = true leaves sizes of 1 in their place.
// An empty list of axes gives x. Without elements: 0, the dtype's smallest, largest, 1, false,
// true.
Value reduce_sum(Value x, const std::vector<int64_t>& axes, bool keep = false);
Value reduce_max(Value x, const std::vector<int64_t>& axes, bool keep = false);
Value reduce_min(Value x, const std::vector<int64_t>& axes, bool keep = false);
Value reduce_prod(Value x, const std::vector<int64_t>& axes, bool keep = false);
Value reduce_any(Value x, const std::vector<int64_t>& axes, bool keep = false);
Value reduce_all(Value x, const std::vector<int64_t>& axes, bool keep = false);
Value mean(Value x, const std::vector<int64_t>& axes, bool keep = false);

// Index of the largest element along an axis, the first where several are equal; where one is NaN,
// some index in range. -> i32
Value argmax(Value x, int64_t axis);
// Softmax along an axis, in x's dtype (pass float32).
Value softmax(Value x, int64_t axis);
// Running sum along an axis, by doubling steps: log2(n) additions.
Value cumsum(Value x, int64_t axis);

// Sorts along an axis by x, stable, and moves `others` the same way. -> {x, others...}
std::vector<Value> sort(Value x, const std::vector<Value>& others, int64_t axis, bool descending);
struct TopK {
  Value values;   // [..., k], falling
  Value indices;  // [..., k] i32; the lower index first where values are equal
};
TopK top_k(Value x, int64_t k);  // along the last axis

}  // namespace continuo::graph
