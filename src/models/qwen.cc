#include "models/qwen.h"

#include <algorithm>

namespace continuo::models {

int64_t qwen_window(const ConfigView& config) {
  return config.flag("use_sliding_window", false) ? config.optional_size("sliding_window", 4096)
                                                  : 0;
}

std::function<bool(int64_t)> beyond_max_window_layers(const ConfigView& config) {
  return
      [first = config.integer("max_window_layers", 28)](int64_t index) { return index >= first; };
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

QwenMoe::QwenMoe(const ConfigView& config, HasTensor has, const ExpertDefaults& defaults)
    : Decoder(config, std::move(has)), is_sparse_(qwen_sparse_layers(config, facts_.layers)) {
  sparse_.experts = config.optional_size({"num_experts", "num_local_experts"}, defaults.experts);
  if (sparse_.experts == 0) {
    is_sparse_.assign(is_sparse_.size(), false);
    return;
  }
  sparse_.inner = config.size("moe_intermediate_size", defaults.inner);
  sparse_.act = act_;
  sparse_.router.top_k = config.size("num_experts_per_tok", defaults.taken);
  sparse_.router.normalise = config.flag("norm_topk_prob", false);
}

Value QwenMoe::feed_forward(Step& step, int64_t index, Value x) const {
  if (!is_sparse_[static_cast<size_t>(index)]) return Decoder::feed_forward(step, index, x);
  return sparse_mlp(step, x, layer_prefix(index) + ".mlp", sparse_);
}

}  // namespace continuo::models
