// Mixture of experts: choosing, and computing the chosen only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ops/linear.h"

namespace continuo::ops {

enum class Scoring {
  kSoftmax,          // softmax over all experts, then the k largest
  kSoftmaxOfChosen,  // the k largest logits, softmax over those
  kSigmoid,          // sigmoid of each, then the k largest
};

struct Router {
  int64_t top_k = 1;
  Scoring scoring = Scoring::kSoftmax;
  bool normalise = false;              // weights divided by their sum (+ 1e-20 for sigmoid)
  double scale = 1;                    // on the weights (routed_scaling_factor)
  Value choice_bias;                   // [E], added for choosing only (e_score_correction_bias)
  int64_t groups = 1, top_groups = 1;  // experts compete inside the best groups only
  bool group_by_top2 = true;           // a group's score: sum of its two best, or its best
};

struct Routes {
  Value experts;  // [N,k] i32
  Value weights;  // [N,k] float32
  Value valid;    // [N] i1, optional: the others are padding, cost nothing and come out as zero
};
// logits:[N,E] float32.
Routes route(Value logits, const Router& router);

// What one expert computes: out(combine(in[0](x), in[1](x), ...)).
struct ExpertBank {
  std::vector<ExpertMatrix> in;  // one fused, or gate and up
  ExpertMatrix out;
  std::vector<Value> in_bias;  // [E,width] each; empty = none
  Value out_bias;              // [E,H]; empty = none
  std::function<Value(const std::vector<Value>&)> combine;
};

// x:[N,H] -> sum over the k routes of weight * expert(x): [N,H]. Tokens are sorted by expert into
// blocks of equal size and a loop computes each block with its expert's matrices, so that the cost
// follows the experts used; with few tokens a block is one route. Gale et al. 2022 (MegaBlocks).
Value mix_experts(Step& step, Value x, const Routes& routes, const ExpertBank& bank);
// All experts on all tokens: the oracle.
Value naive_mix_experts(Step& step, Value x, const Routes& routes, const ExpertBank& bank);

// The usual bank: act(gate(x)) * up(x), tensors PREFIX.{e}.{gate,up,down}_proj.weight.
struct ExpertNames {
  std::string gate = "gate_proj", up = "up_proj", down = "down_proj";
};
ExpertBank gated_experts(Step& step, const std::string& prefix, int64_t experts, int64_t hidden,
                         int64_t inner, std::function<Value(Value)> act,
                         const ExpertNames& names = {});

}  // namespace continuo::ops
