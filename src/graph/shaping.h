// Operations that move elements without changing them.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace continuo::graph {

using Dims = std::vector<int64_t>;

Value reshape(Value x, Shape shape);  // one size may be -1: inferred
Value transpose(Value x, const Dims& permutation);
Value expand_dims(Value x,
                  int64_t axis);  // inserts a size of 1 before `axis`; negative from the end
// x with dimensions `dims` of the result; the others are new. StableHLO's broadcast_in_dim.
Value broadcast_in_dim(Value x, Shape shape, const Dims& dims);
Value concat(const std::vector<Value>& parts, int64_t axis);
// x[..., begin:end:stride, ...] along one axis; negative axis from the end.
Value slice(Value x, int64_t axis, int64_t begin, int64_t end, int64_t stride = 1);
// Pieces of the given sizes along an axis; their sum must be the axis's size.
std::vector<Value> split(Value x, int64_t axis, const Dims& sizes);
Value pad(Value x, int64_t axis, int64_t low, int64_t high, double value = 0);
Value reverse(Value x, int64_t axis);
// Repeats each element along an axis `times` times: a b -> a a b b (torch.repeat_interleave).
Value repeat(Value x, int64_t axis, int64_t times);

}  // namespace continuo::graph
