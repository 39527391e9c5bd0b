// Qwen2-MoE (Qwen1.5-MoE, Qwen2-57B): Qwen2's attention, sparse layers with a gated shared expert.
// Reference: transformers modeling_qwen2_moe.py.
#include "models/config_defaults.h"
#include "models/families.h"
#include "models/qwen.h"

namespace continuo::models {
namespace {

class Qwen2Moe : public QwenMoe {
 public:
  Qwen2Moe(const ConfigView& config, HasTensor has)
      : QwenMoe(config, std::move(has), {60, 4, 1408}) {
    facts_.family = "qwen2_moe";
    attention_.bias = config.flag("qkv_bias", true) ? Bias::kYes : Bias::kNone;
    attention_.out_bias = Bias::kNone;
    // Unlike Qwen2: every second layer, below max_window_layers (configuration_qwen2_moe.py).
    const int64_t end = config.integer("max_window_layers", 28);
    set_windows(config, qwen_window(config),
                [end](int64_t index) { return index % 2 == 0 && index < end; });
    sparse_.shared = "shared_expert";
    sparse_.shared_inner = config.optional_size("shared_expert_intermediate_size", 5632);
    sparse_.shared_gate = "shared_expert_gate";
  }
};

constexpr char kDefaults[] = R"({"num_key_value_heads": 16})";

}  // namespace

const Family kQwen2Moe{"qwen2_moe",
                       {"qwen2_moe"},
                       {"Qwen2MoeForCausalLM"},
                       "attention, sliding window",
                       "kv",
                       {"qwen2_moe"},
                       "",
                       make_model_with<Qwen2Moe, kDefaults>};

}  // namespace continuo::models
