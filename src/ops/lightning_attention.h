// Linear attention with a decay a head (Qin et al. 2024, arXiv 2401.04658; MiniMax-01: arXiv
// 2501.08313): S[t] = exp(log_decay) S[t-1] + k v^T,   out[t] = S[t]^T q.
// Everything is float32. A column with log_decay and k zero leaves the state as it was.
#pragma once

#include <string>
#include <vector>

#include "ops/step.h"

namespace continuo::ops {

struct LightningInputs {
  Value q, k;       // [R,T,H,K]
  Value v;          // [R,T,H,V]
  Value log_decay;  // [R,T,H], <= 0
  Value state;      // [R,H,K,V]
  Value valid;      // [R,T], true up to a row's length; empty = all
};
struct LightningResult {
  Value out;    // [R,T,H,V]
  Value state;  // [R,H,K,V] after the last column
};

// The spellings: a loop over columns (the oracle), one column by itself, and matrix products over
// `chunk` columns (a power of two) at a time, within spans of `span` columns one after the other
// (0 = one span).
LightningResult naive_lightning_attention(const LightningInputs& inputs);
LightningResult step_lightning_attention(const LightningInputs& inputs);
LightningResult chunk_lightning_attention(const LightningInputs& inputs, int64_t chunk,
                                          int64_t span = 0);

// The best of them for T over the recurrent state `name`:[H,K,V]; padding columns change nothing.
// slopes: one a head, log_decay is minus that. -> [R,T,H,V]
Value lightning_attention(Step& step, const std::string& name, Value q, Value k, Value v,
                          const std::vector<float>& slopes);

}  // namespace continuo::ops
