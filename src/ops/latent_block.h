// The attention block of models with multi-head latent attention (DeepSeek-V2): projections
// through low ranks, rotation of the part that has positions, attention, output projection.
#pragma once

#include <optional>
#include <string>

#include "ops/linear.h"
#include "ops/rope.h"

namespace continuo::ops {

struct LatentBlock {
  int64_t heads = 0, q_rank = 0, kv_rank = 0;  // q_rank 0: queries come from x itself
  int64_t nope_dim = 0, rope_dim = 0, value_dim = 0;
  Bias bias = Bias::kNone;   // of the projections from x and of the output's
  std::optional<Rope> rope;  // nullopt: the rope parts are joined as they are
  double scale = 1;          // on the scores
};

// x:[R,T,H] -> [R,T,H]; tensors under `prefix`, the latent lines under `state`.
Value latent_block(Step& step, Value x, const std::string& prefix, const std::string& state,
                   const LatentBlock& block);

}  // namespace continuo::ops
