// The gated delta rule (Yang et al. 2024, arXiv 2412.06464; Kimi delta attention: arXiv
// 2510.26692). A state S:[K,V] a head maps keys to values. It decays, and what it says of a key
// moves towards the key's value:
//   S[t] = D S[t-1] + k (beta (v - k^T D S[t-1]))^T,   out[t] = S[t]^T q,   D =
//   diag(exp(log_decay))
// Everything is float32. A column with log_decay 0 and beta 0 leaves the state as it was.
#pragma once

#include <string>

#include "ops/step.h"

namespace continuo::ops {

// H value heads, Hk key heads (head h uses h / (H/Hk)). q and k come as they are used: normalised
// and scaled by the caller. chunked and looped forms agree for |k| <= 1, 0 <= beta <= 2.
struct DeltaRuleInputs {
  Value q, k;       // [R,T,Hk,K]
  Value v;          // [R,T,H,V]
  Value log_decay;  // <= 0: [R,T,H], one a head (Qwen3-Next), or [R,T,H,K], one a channel (Kimi)
  Value beta;       // [R,T,H]
  Value state;      // [R,H,K,V]
  Value valid;      // [R,T], true up to a row's length; empty = all
};
struct DeltaRuleResult {
  Value out;    // [R,T,H,V]
  Value state;  // [R,H,K,V] after the last column
};

// The spellings: a loop over columns (the oracle), one column by itself, and matrix products over
// `chunk` columns (a power of two) at a time, within spans of `span` columns one after the other
// (0 = one span).
DeltaRuleResult naive_delta_rule(const DeltaRuleInputs& inputs);
DeltaRuleResult step_delta_rule(const DeltaRuleInputs& inputs);
DeltaRuleResult chunk_delta_rule(const DeltaRuleInputs& inputs, int64_t chunk, int64_t span = 0);

// The best of them for T over the recurrent state `name`:[H,K,V]; padding columns change nothing.
// inputs.state is not read. -> [R,T,H,V]
Value delta_rule(Step& step, const std::string& name, DeltaRuleInputs inputs);

}  // namespace continuo::ops
