// Selective scan (Mamba-1; Gu & Dao 2023, arXiv 2312.00752): a decay per channel and state line,
//   h[t] = exp(dt[t] a) h[t-1] + dt[t] x[t] b[t],   y[t] = c[t] . h[t] + d x[t].
// Everything is float32. A column with dt = 0 leaves the state as it was.
#pragma once

#include "ops/step.h"

namespace continuo::ops {

// D channels, N state lines. The lines lie before the channels: sums over N stay vector additions.
struct ScanInputs {
  Value x, dt;  // [R,T,D]; dt >= 0
  Value a;      // [N,D], < 0
  Value b, c;   // [R,T,N]
  Value d;      // [D], or empty: no skip
  Value state;  // [R,N,D]
  Value valid;  // [R,T], true up to a row's length; empty = all
};
struct ScanResult {
  Value y;      // [R,T,D]
  Value state;  // [R,N,D] after the last column
};

// The spellings: a loop over columns (the oracle), one column by itself, and blocks of
// segments * length columns: all segments of a block advance side by side from zero, then each
// gets what the state before it adds, which is a closed formula with decays <= 1 only.
ScanResult naive_selective_scan(const ScanInputs& inputs);
ScanResult step_selective_scan(const ScanInputs& inputs);
ScanResult chunk_selective_scan(const ScanInputs& inputs, int64_t segments, int64_t length);
// The best of them for T (padding columns of dt 0 leave the state bit for bit) on the step's
// target: on a CPU the loop, which already runs at the speed of its exponentials.
ScanResult selective_scan(Step& step, ScanInputs inputs);

}  // namespace continuo::ops
