#include "models/qwen.h"

#include <fmt/format.h>

#include <algorithm>

namespace continuo::models {

std::vector<int64_t> qwen_windows(const ConfigView& config, int64_t layers) {
  const bool slides = config.flag("use_sliding_window", false);
  const int64_t window = slides ? config.size("sliding_window", 4096) : 0;
  std::vector<int64_t> windows = windows_of_layer_types(config, layers, window);
  if (!windows.empty()) return windows;
  const int64_t first = config.integer("max_window_layers", 28);
  for (int64_t i = 0; i < layers; ++i) windows.push_back(i >= first ? window : 0);
  return windows;
}

std::function<Value(Value, char)> head_norms(Step& step, const std::string& prefix, double eps) {
  return [&step, prefix, eps](Value x, char which) {
    return rms_norm(step, x, fmt::format("{}.{}_norm", prefix, which), eps);
  };
}

std::vector<bool> qwen_sparse_layers(const ConfigView& config, int64_t layers) {
  const std::vector<int64_t> dense = config.integers("mlp_only_layers");
  const int64_t every = config.size("decoder_sparse_step", 1);
  std::vector<bool> sparse;
  for (int64_t i = 0; i < layers; ++i)
    sparse.push_back(std::find(dense.begin(), dense.end(), i) == dense.end() &&
                     (i + 1) % every == 0);
  return sparse;
}

SparseMlp qwen_sparse_mlp(const ConfigView& config, const Activation& act) {
  SparseMlp block;
  block.experts = config.size({"num_experts", "num_local_experts"});
  block.inner = config.size("moe_intermediate_size");
  block.act = act;
  block.router.top_k = config.size("num_experts_per_tok");
  block.router.normalise = config.flag("norm_topk_prob", false);
  return block;
}

}  // namespace continuo::models
