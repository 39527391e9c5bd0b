// The attention block most families share: projections, optional norms and rotation, attention,
// output projection. What differs is data.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "ops/attention.h"
#include "ops/linear.h"
#include "ops/rope.h"

namespace continuo::ops {

struct SelfAttention {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  AttentionOptions options;
  Bias bias = Bias::kNone;  // of q, k and v
  Bias out_bias = Bias::kNone;
  std::optional<Rope> rope;  // nullopt: no positions (NoPE)
  // Applied to q:[R,T,Hq,D] and k:[R,T,Hk,D] before the rotation; `which` is 'q' or 'k'.
  std::function<Value(Value x, char which)> qk_norm;
  // Tensor names under the prefix; `qkv` not empty: one fused tensor [q | k | v] instead.
  std::string q = "q_proj", k = "k_proj", v = "v_proj", qkv, out = "o_proj";
};

// x:[R,T,H] -> [R,T,H]; tensors under `prefix`, KV arrays under `state`.
Value self_attention(Step& step, Value x, const std::string& prefix, const std::string& state,
                     const SelfAttention& block);

// The block's parts, for families that put something between: q:[R,T,Hq,D] k, v:[R,T,Hk,D].
struct Projected {
  Value q, k, v;
};
Projected project_qkv(Step& step, Value x, const std::string& prefix, const SelfAttention& block);
// Norms and rotation of q and k.
void prepare_qk(Step& step, Projected& parts, const SelfAttention& block);

}  // namespace continuo::ops
