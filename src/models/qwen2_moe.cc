// Qwen2-MoE (Qwen1.5-MoE, Qwen2-57B): Qwen2's attention, sparse layers with a gated shared expert.
// Reference: transformers modeling_qwen2_moe.py.
#include <fmt/format.h>

#include "models/families.h"
#include "models/qwen.h"

namespace continuo::models {
namespace {

// Unlike Qwen2: every second layer slides, below max_window_layers (configuration_qwen2_moe.py).
std::vector<int64_t> windows_of(const ConfigView& config, int64_t layers) {
  const bool slides = config.flag("use_sliding_window", false);
  const int64_t window = slides ? config.size("sliding_window", 4096) : 0;
  std::vector<int64_t> windows = windows_of_layer_types(config, layers, window);
  if (!windows.empty()) return windows;
  const int64_t end = config.integer("max_window_layers", 28);
  for (int64_t i = 0; i < layers; ++i) windows.push_back(i % 2 == 0 && i < end ? window : 0);
  return windows;
}

class Qwen2Moe : public PreNormDecoder {
 public:
  Qwen2Moe(const ConfigView& config, HasTensor has)
      : PreNormDecoder(config, std::move(has), {.kv_heads = 16, .out_bias_follows = false}),
        sparse_(qwen_sparse_mlp(config, act_)),
        is_sparse_(qwen_sparse_layers(config, facts_.layers)) {
    facts_.family = "qwen2_moe";
    attention_.bias = config.flag("qkv_bias", true) ? Bias::kYes : Bias::kNone;
    set_windows(windows_of(config, facts_.layers));
    sparse_.shared = "shared_expert";
    sparse_.shared_inner = config.size("shared_expert_intermediate_size", 5632);
    sparse_.shared_gate = "shared_expert_gate";
  }

 private:
  Value feed_forward(Step& step, int64_t index, Value x) const override {
    if (!is_sparse_[static_cast<size_t>(index)])
      return PreNormDecoder::feed_forward(step, index, x);
    return sparse_mlp(step, x, layer_prefix(index) + ".mlp", sparse_);
  }

  SparseMlp sparse_;
  std::vector<bool> is_sparse_;
};

}  // namespace

const Family kQwen2Moe{"qwen2_moe",
                       {"qwen2_moe"},
                       {"Qwen2MoeForCausalLM"},
                       "attention, sliding window",
                       "kv",
                       {"qwen2_moe"},
                       "",
                       make_model<Qwen2Moe>};

}  // namespace continuo::models
