// The sparse feed-forward block that most families share: a router, gated experts, and beside them
// an optional expert that every token passes.
#pragma once

#include <string>

#include "ops/mlp.h"
#include "ops/moe.h"

namespace continuo::ops {

// Tensor names are under the block's prefix.
struct SparseMlp {
  int64_t experts = 0, inner = 0;
  Router router;
  Activation act;
  std::string gate = "gate";  // the router's linear
  std::string choice_bias;    // [E], added for choosing only; "" = none
  std::string bank = "experts";
  ExpertNames names;
  std::string shared;           // the shared expert's MLP
  int64_t shared_inner = 0;     // 0 = no shared expert
  std::string shared_gate;      // [1,H]: its sigmoid scales the shared expert; "" = none
  Bias mlp_bias = Bias::kNone;  // of the shared expert
};

// x:[R,T,H] -> [R,T,H]. Padding columns choose no expert.
Value sparse_mlp(Step& step, Value x, const std::string& prefix, const SparseMlp& block);

}  // namespace continuo::ops
