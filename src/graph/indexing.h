// Reads and writes at computed places. StableHLO gives no safety here (docs/architecture.md):
// indices must be in range, which the host checks before a step.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace continuo::graph {

// starts: one scalar i32 a dimension. -> sizes
Value dynamic_slice(Value x, const std::vector<Value>& starts, const std::vector<int64_t>& sizes);
Value dynamic_update_slice(Value x, Value update, const std::vector<Value>& starts);

// Rows of x: x:[N, rest...] indices:[I...] i32 -> [I..., rest...]
Value take_rows(Value x, Value indices);
// One element along the last axis each: x:[B..., N] indices:[B...] i32 -> [B...]
Value take_last(Value x, Value indices);
// x:[N, D] with row indices[i] replaced by updates[i]; indices:[I] i32 all different.
Value put_rows(Value x, Value indices, Value updates);
// x:[N, D] with updates[i] added to row indices[i]; indices:[I] i32 may repeat.
Value add_rows(Value x, Value indices, Value updates);

}  // namespace continuo::graph
