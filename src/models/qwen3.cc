// Qwen3: Llama with RMSNorm on each query and key head.
// Reference: transformers modeling_qwen3.py.
#include "models/config_defaults.h"
#include "models/families.h"
#include "models/qwen.h"

namespace continuo::models {
namespace {

class Qwen3 : public Decoder {
 public:
  Qwen3(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "qwen3";
    qk_norm_ = QkNorm::kEachHead;
    set_windows(config, qwen_window(config), beyond_max_window_layers(config));
  }
};

constexpr char kDefaults[] = R"({"head_dim": 128, "num_key_value_heads": 32})";

}  // namespace

const Family kQwen3{"qwen3",
                    {"qwen3"},
                    {"Qwen3ForCausalLM"},
                    "attention, sliding window",
                    "kv",
                    {"qwen3", "qwen3_f16"},
                    "",
                    make_model_with<Qwen3, kDefaults>};

}  // namespace continuo::models
