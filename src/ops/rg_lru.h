// The real-gated linear recurrent unit (De et al. 2024, Griffin, arXiv 2402.19427).
// Everything is float32.
#pragma once

#include <string>

#include "ops/step.h"

namespace continuo::ops {

// The recurrence by itself, a decay a channel: h[t] = exp(log_decay[t]) h[t-1] + x[t]. A column
// with log_decay and x zero leaves the state as it was.
struct RgLruInputs {
  Value log_decay, x;  // [R,T,D]; log_decay <= 0
  Value state;         // [R,D]
  Value valid;         // [R,T], true up to a row's length; empty = all
};
struct RgLruResult {
  Value out;    // [R,T,D]: h
  Value state;  // [R,D] after the last column
};

// The spellings: a loop over columns (the oracle), one column by itself, and chunks of `chunk`
// columns (a power of two): all advance side by side from zero, then each gets what the state
// before it adds (Blelloch 1990's scan in two levels).
RgLruResult naive_rg_lru(const RgLruInputs& inputs);
RgLruResult step_rg_lru(const RgLruInputs& inputs);
RgLruResult chunk_rg_lru(const RgLruInputs& inputs, int64_t chunk);

// The unit: x:[R,T,D] -> h:[R,T,D] over the recurrent state `name`:[D]. Tensors under `prefix`:
// {input,recurrent}_gate_weight:[heads,D/heads,D/heads] (in, out), their biases [heads,D/heads],
// recurrent_param:[D].
//   log_decay = -8 sigmoid(recurrent gate) softplus(recurrent_param)
//   h[t] = a h[t-1] + sqrt(1 - a^2) sigmoid(input gate) x[t],  the root 1 at position 0
Value rg_lru(Step& step, const std::string& name, Value x, const std::string& prefix,
             int64_t heads);

}  // namespace continuo::ops
