// Rotary position embedding (Su et al. 2021) and the ways checkpoints stretch it.
#pragma once

#include <string>
#include <vector>

#include "ops/step.h"

namespace continuo::ops {

// How positions turn into angles: angle = position * inv_freq[i].
struct Rope {
  int64_t dims = 0;             // leading dimensions of a head that turn
  std::vector<float> inv_freq;  // [dims/2]
  double scale = 1;             // on cosines and sines (YaRN's and LongRoPE's attention factor)
  bool interleaved = false;     // pairs (0,1),(2,3).. instead of (i, i + dims/2)
};

// theta^(-2i/dims).
Rope plain_rope(int64_t dims, double theta, bool interleaved = false);
// Positions divided by `factor` (Chen et al. 2023).
Rope linear_rope(Rope rope, double factor);
// Llama 3.1: low frequencies divided, high ones kept, a ramp between.
Rope llama3_rope(Rope rope, double factor, double low_freq_factor, double high_freq_factor,
                 double original_positions);
struct Yarn {
  double theta = 10000, factor = 1, original_positions = 0;
  double beta_fast = 32, beta_slow = 1;
  double attention_factor = 0;            // 0 = 0.1 ln(factor) + 1
  double mscale = 0, mscale_all_dim = 0;  // DeepSeek's; used where both are given
  bool truncate = true;                   // round the ramp's borders outwards
};
// YaRN (Peng et al. 2023).
Rope yarn_rope(Rope rope, const Yarn& yarn);
// Each frequency divided by its own factor (LongRoPE; Phi-3): factors:[dims/2].
Rope long_rope(Rope rope, const std::vector<float>& factors, double scale);
// YaRN's 0.1 * mscale * ln(factor) + 1, 1 for factor <= 1.
double yarn_mscale(double factor, double mscale);

// Cosines and sines at this step's positions; made once a step for equal ropes.
const RopeTable& rope_table(Step& step, const Rope& rope);
// x:[R,T,H,D] -> the same, its first `dims` dimensions turned.
Value apply_rope(Value x, const RopeTable& table);

}  // namespace continuo::ops
