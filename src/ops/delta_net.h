// The gated delta net mixer between its projections (Yang et al. 2024, arXiv 2412.06464), as
// Qwen3-Next, Qwen3.5 and OLMo-Hybrid have it.
#pragma once

#include <string>
#include <vector>

#include "ops/step.h"

namespace continuo::ops {

// Hk key heads of K, H value heads of V.
struct DeltaNet {
  int64_t key_heads = 0, value_heads = 0, key_dim = 0, value_dim = 0;
  int64_t kernel = 4;      // of the short convolutions
  double beta_scale = 1;   // 2: eigenvalues down to -1 (linear_allow_neg_eigval)
  double norm_eps = 1e-6;  // of the gated norm
  std::string norm;        // its tensor's name under the prefix
  int64_t keys() const { return key_heads * key_dim; }
  int64_t values() const { return value_heads * value_dim; }
};

// After the convolutions: q, k:[R,T,Hk*K] v, gate:[R,T,H*V] decay, beta:[R,T,H] (as projected).
struct DeltaNetInputs {
  Value q, k, v, decay, beta, gate;
};

// q and k to unit length, q scaled by K^-0.5; log decay = -exp(A_log) softplus(decay + dt_bias);
// the delta rule over the state NAME:[H,K,V]; norm, then silu(gate). -> [R,T,H*V].
// Tensors under `prefix`: A_log:[H], dt_bias:[H] and the norm's.
Value delta_net(Step& step, const DeltaNetInputs& inputs, const std::string& prefix,
                const std::string& name, const DeltaNet& net);

// Short convolutions with SiLU, one a part, as one: parts:[R,T,C_i] with NAME_i.weight:[C_i,1,k],
// their inputs carried in the state `name`:[C_1+C_2+...,k-1]. -> the parts convolved
std::vector<Value> short_convs(Step& step, const std::vector<Value>& parts,
                               const std::vector<std::string>& names, int64_t kernel,
                               const std::string& name);

// rms_norm(x, NORM.weight:[V], eps) * gate over heads. x, gate:[R,T,H,V] -> [R,T,H*V]
Value norm_and_gate(Step& step, Value x, Value gate, const std::string& norm, double eps);

}  // namespace continuo::ops
