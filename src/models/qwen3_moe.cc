// Qwen3-MoE: Qwen3's attention, sparse layers without a shared expert.
// Reference: transformers modeling_qwen3_moe.py.
#include "models/config_defaults.h"
#include "models/families.h"
#include "models/qwen.h"

namespace continuo::models {
namespace {

class Qwen3Moe : public QwenMoe {
 public:
  Qwen3Moe(const ConfigView& config, HasTensor has)
      : QwenMoe(config, std::move(has), {128, 8, 768}) {
    facts_.family = "qwen3_moe";
    qk_norm_ = QkNorm::kEachHead;
    if (config.flag("use_sliding_window", false)) set_windows(read_window(config));
  }
};

constexpr char kDefaults[] = R"({"num_key_value_heads": 4, "sliding_window": 4096})";

}  // namespace

const Family kQwen3Moe{"qwen3_moe",
                       {"qwen3_moe"},
                       {"Qwen3MoeForCausalLM"},
                       "attention, sliding window",
                       "kv",
                       {"qwen3_moe", "mlx_qwen3_moe_4bit_g32"},
                       "",
                       make_model_with<Qwen3Moe, kDefaults>};

}  // namespace continuo::models
