// Qwen2 and Qwen2.5: Llama with biases on q, k and v.
// Reference: transformers modeling_qwen2.py.
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

}  // namespace

const Family kQwen2{"qwen2",   {"qwen2"}, {"Qwen2ForCausalLM"}, "attention, sliding window", "kv",
                    {"qwen2"}, "",        make_model<Qwen2>};

}  // namespace continuo::models
