// What Qwen2, Qwen3 and their mixtures of experts share.
#pragma once

#include "models/decoder.h"
#include "ops/sparse_mlp.h"

namespace continuo::models {

// `sliding_window` where use_sliding_window says so; else 0.
int64_t qwen_window(const ConfigView& config);
// Layers from max_window_layers on.
std::function<bool(int64_t)> beyond_max_window_layers(const ConfigView& config);

// Which layers are sparse: not in mlp_only_layers, and every decoder_sparse_step-th.
std::vector<bool> qwen_sparse_layers(const ConfigView& config, int64_t layers);

// A decoder with sparse layers. Reads num_experts, num_experts_per_tok, moe_intermediate_size,
// norm_topk_prob; the router's softmax is over all.
class QwenMoe : public Decoder {
 protected:
  struct ExpertDefaults {
    int64_t experts, taken, inner;
  };
  QwenMoe(const ConfigView& config, HasTensor has, const ExpertDefaults& defaults);
  Value feed_forward(Step& step, int64_t index, Value x) const override;

  SparseMlp sparse_;

 private:
  std::vector<bool> is_sparse_;
};

}  // namespace continuo::models
