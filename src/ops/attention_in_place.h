// Attention that reads the state arrays where they lie, as far as a row sees
// (Target::attends_in_place): a kernel of the executor's, or a loop over blocks of positions.
#pragma once

#include "ops/attention.h"

namespace continuo::ops {

// q:[R,T,Hq,D] attends over keys:[B,Hk,S,D] and values:[B,Hk,S,V], the arrays of all slots, of
// whose lines the first `value_dim` floats are values -> [R,T,Hq,value_dim] float32. Padding
// columns and idle rows give something finite; of a kernel, zero.
Value attend_in_place(Step& step, Value q, Value keys, Value values, int64_t value_dim,
                      const AttentionOptions& options);

}  // namespace continuo::ops
