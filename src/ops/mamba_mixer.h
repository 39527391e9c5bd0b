// The Mamba-1 mixer (Gu & Dao 2023), as Mamba, Falcon-Mamba and Jamba have it. Reference:
// transformers modeling_mamba.py.
#pragma once

#include <string>

#include "ops/linear.h"

namespace continuo::ops {

// RMS norms of dt (before dt_proj), B and C.
enum class ScanNorm {
  kNone,
  kPlain,     // without weights (Falcon-Mamba)
  kWeighted,  // dt_layernorm, b_layernorm, c_layernorm (Jamba)
};

struct MambaMixer {
  int64_t inner = 0, state_size = 0, dt_rank = 0, kernel = 4;
  Bias conv_bias = Bias::kYes, proj_bias = Bias::kNone;  // proj: in_proj and out_proj
  ScanNorm norm = ScanNorm::kNone;
  double norm_eps = 1e-6;
};

// x:[R,T,H] -> [R,T,H]; tensors PREFIX.{in_proj,conv1d,x_proj,dt_proj,A_log,D,out_proj}, recurrent
// state STATE.conv:[inner,kernel-1] and STATE.ssm:[state_size,inner].
Value mamba_mixer(Step& step, Value x, const std::string& prefix, const std::string& state,
                  const MambaMixer& mixer);

}  // namespace continuo::ops
