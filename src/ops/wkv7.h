// RWKV-7's generalised delta rule (Peng et al. 2025, arXiv 2503.14456): a state S:[K,V] a head,
// with
//   S[t] = diag(exp(log_decay)) S[t-1] + b (S[t-1]^T a)^T + k v^T,   out[t] = S[t]^T r
// (in the paper S is transposed, a = -kappa, b = kappa * learning rate). Everything is float32.
// A column with log_decay, b and k zero leaves the state as it was.
#pragma once

#include <string>

#include "ops/step.h"

namespace continuo::ops {

struct Wkv7Inputs {
  Value r, log_decay, k, a, b;  // [R,T,H,K]; log_decay <= 0
  Value v;                      // [R,T,H,V]
  Value state;                  // [R,H,K,V]
  double lowest = -120;         // no log_decay is below it; a small range makes chunks cheap
  Value valid;                  // [R,T], true up to a row's length; empty = all
};
struct Wkv7Result {
  Value out;    // [R,T,H,V]
  Value state;  // [R,H,K,V] after the last column
};

// The spellings: a loop over columns (the oracle), one column by itself, and matrix products over
// `chunk` columns (a power of two) at a time, within spans of `span` columns one after the other
// (0 = one span).
Wkv7Result naive_wkv7(const Wkv7Inputs& inputs);
Wkv7Result step_wkv7(const Wkv7Inputs& inputs);
Wkv7Result chunk_wkv7(const Wkv7Inputs& inputs, int64_t chunk, int64_t span = 0);

// The best of them for T over the recurrent state `name`:[H,K,V]; padding columns change nothing.
// inputs.state is not read. -> [R,T,H,V]
Value wkv7(Step& step, const std::string& name, Wkv7Inputs inputs);

}  // namespace continuo::ops
