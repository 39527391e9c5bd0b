// Attention over a slot's keys and values.
#pragma once

#include <string>

#include "ops/step.h"

namespace continuo::ops {

struct AttentionOptions {
  double scale = 1;    // on the scores
  double softcap = 0;  // cap * tanh(scores / cap) before the mask; 0 = none
  int64_t window = 0;  // keys a query sees, itself included; 0 = all
  Value sinks;         // [Hq] logits of a column that takes weight and gives nothing (gpt-oss)
};

// Appends k:[R,T,Hk,D] v:[R,T,Hk,Dv] to the KV arrays NAME.k and NAME.v, then attends with
// q:[R,T,Hq,D]; query head h uses key head h / (Hq/Hk). -> [R,T,Hq*Dv] float32.
// Vaswani et al. 2017; grouped queries: Ainslie et al. 2023.
Value attention(Step& step, const std::string& name, Value q, Value k, Value v,
                const AttentionOptions& options);

// Multi-head latent attention (DeepSeek-V2) in its absorbed form: the slot holds one latent line a
// token, NAME.latent [1,S,rank+P].
//   q_nope:[R,T,H,N] q_rope:[R,T,H,P] latent:[R,T,rank] (normed) k_rope:[R,T,1,P]
//   up:[H,N+V,rank] (kv_b_proj) -> [R,T,H*V]
Value latent_attention(Step& step, const std::string& name, Value q_nope, Value q_rope,
                       Value latent, Value k_rope, Value up, int64_t value_dim, double scale);

}  // namespace continuo::ops
