// What Qwen2, Qwen3 and their mixtures of experts share.
#pragma once

#include "models/pre_norm_decoder.h"
#include "ops/sparse_mlp.h"

namespace continuo::models {

// Which layers slide: `layer_types`, else with use_sliding_window those from max_window_layers on.
std::vector<int64_t> qwen_windows(const ConfigView& config, int64_t layers);

// RMSNorm of each query and key head, tensors PREFIX.q_norm and PREFIX.k_norm (Qwen3).
std::function<Value(Value, char)> head_norms(Step& step, const std::string& prefix, double eps);

// Which layers are sparse: not in mlp_only_layers, and every decoder_sparse_step-th.
std::vector<bool> qwen_sparse_layers(const ConfigView& config, int64_t layers);
// num_experts, num_experts_per_tok, moe_intermediate_size, norm_topk_prob; softmax over all.
SparseMlp qwen_sparse_mlp(const ConfigView& config, const Activation& act);

}  // namespace continuo::models
