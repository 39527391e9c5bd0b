// Qwen3-MoE: Qwen3's attention, sparse layers without a shared expert.
// Reference: transformers modeling_qwen3_moe.py.
#include "models/families.h"
#include "models/qwen.h"

namespace continuo::models {
namespace {

class Qwen3Moe : public PreNormDecoder {
 public:
  Qwen3Moe(const ConfigView& config, HasTensor has)
      : PreNormDecoder(config, std::move(has), {.kv_heads = 4}),
        sparse_(qwen_sparse_mlp(config, act_)),
        is_sparse_(qwen_sparse_layers(config, facts_.layers)) {
    facts_.family = "qwen3_moe";
    if (config.flag("use_sliding_window", false))
      set_windows(uniform_windows(config, facts_.layers, 4096));
  }

 private:
  SelfAttention attention_block(Step& step, int64_t index) const override {
    SelfAttention block = PreNormDecoder::attention_block(step, index);
    block.qk_norm = head_norms(step, attention_prefix(index), norm_eps_);
    return block;
  }

  Value feed_forward(Step& step, int64_t index, Value x) const override {
    if (!is_sparse_[static_cast<size_t>(index)])
      return PreNormDecoder::feed_forward(step, index, x);
    return sparse_mlp(step, x, layer_prefix(index) + ".mlp", sparse_);
  }

  SparseMlp sparse_;
  std::vector<bool> is_sparse_;
};

}  // namespace

const Family kQwen3Moe{"qwen3_moe",
                       {"qwen3_moe"},
                       {"Qwen3MoeForCausalLM"},
                       "attention, sliding window",
                       "kv",
                       {"qwen3_moe", "mlx_qwen3_moe_4bit_g32"},
                       "",
                       make_model<Qwen3Moe>};

}  // namespace continuo::models
