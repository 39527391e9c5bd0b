// State-space duality (Mamba-2; Dao & Gu 2024, arXiv 2405.21060): one decay per head and token,
//   h[t] = exp(dt[t] a) h[t-1] + dt[t] x[t] outer b[t],   y[t] = c[t] . h[t] + d x[t].
// Everything is float32. A column with dt = 0 leaves the state as it was.
#pragma once

#include <string>

#include "ops/step.h"

namespace continuo::ops {

// H heads of P channels in G groups (head h: group h / (H/G)), N state lines; r = H/G.
struct SsdInputs {
  Value x;      // [R,T,H,P]
  Value dt;     // [R,T,H], >= 0
  Value a;      // [H], < 0
  Value b, c;   // [R,T,G,N]
  Value d;      // [H], or empty: no skip
  Value state;  // [R,G,N,r*P]: both its products are plain matrix products
  Value valid;  // [R,T], true up to a row's length; empty = all
  // Of a chunk's products; sums of decays are float32 whatever it is.
  Precision precision = Precision::kHighest;
};
struct SsdResult {
  Value y;      // [R,T,H,P]
  Value state;  // [R,G,N,r*P] after the last column
};

// The spellings: a loop over columns (the oracle), one column by itself, matrix products over
// `chunk` columns one chunk after another, and over all chunks at once (the paper's section 6).
SsdResult naive_ssd(const SsdInputs& inputs);
SsdResult step_ssd(const SsdInputs& inputs);
SsdResult chunk_ssd(const SsdInputs& inputs, int64_t chunk);
SsdResult parallel_ssd(const SsdInputs& inputs, int64_t chunk);
// The best of them for T; padding columns of dt 0 leave the state bit for bit. chunk 0: what is
// fastest on the step's target.
SsdResult ssd(Step& step, SsdInputs inputs, int64_t chunk = 0);

}  // namespace continuo::ops
