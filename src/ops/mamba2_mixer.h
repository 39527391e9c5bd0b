// The Mamba-2 mixer (Dao & Gu 2024), as Mamba-2, Bamba, Granite hybrids, Zamba2, Nemotron-H and
// Falcon-H1 have it. Reference: transformers modeling_mamba2.py.
#pragma once

#include <string>
#include <vector>

#include "ops/linear.h"

namespace continuo::ops {

enum class MixerNorm { kNone, kAfterGate, kBeforeGate };

struct Mamba2Mixer {
  int64_t heads = 0, head_dim = 0, groups = 1, state_size = 0, kernel = 4;
  Bias conv_bias = Bias::kYes, in_bias = Bias::kNone, out_bias = Bias::kNone;
  double dt_min = 0;                       // dt = clamp(softplus(dt + dt_bias), dt_min, dt_max)
  double dt_max = 0;                       // 0: no upper limit
  MixerNorm norm = MixerNorm::kAfterGate;  // RMS norm over each group's channels
  double norm_eps = 1e-5;
  std::vector<float> in_scale;  // on in_proj's [z, x, B, C, dt]; empty: 1 (Falcon-H1)
};

// x:[R,T,H] -> [R,T,H]; tensors PREFIX.{in_proj,conv1d,dt_bias,A_log,D,norm,out_proj}, recurrent
// state STATE.conv:[channels,kernel-1] and STATE.ssm:[groups,state_size,heads/groups*head_dim].
Value mamba2_mixer(Step& step, Value x, const std::string& prefix, const std::string& state,
                   const Mamba2Mixer& mixer);

}  // namespace continuo::ops
