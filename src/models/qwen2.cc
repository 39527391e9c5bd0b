// Qwen2 and Qwen2.5: Llama with biases on q, k and v.
// Reference: transformers modeling_qwen2.py.
#include "models/config_defaults.h"
#include "models/families.h"
#include "models/qwen.h"

namespace continuo::models {
namespace {

class Qwen2 : public Decoder {
 public:
  Qwen2(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "qwen2";
    attention_.bias = Bias::kYes;
    attention_.out_bias = Bias::kNone;
    set_windows(config, qwen_window(config), beyond_max_window_layers(config));
  }
};

constexpr char kDefaults[] = R"({"num_key_value_heads": 32})";

}  // namespace

const Family kQwen2{"qwen2",
                    {"qwen2", "qwen2_5_omni_text"},
                    {"Qwen2ForCausalLM"},
                    "attention, sliding window",
                    "kv",
                    {"qwen2", "wrapped_qwen2_5_omni"},
                    "also the text part of Qwen2.5-Omni",
                    make_model_with<Qwen2, kDefaults>};

}  // namespace continuo::models
