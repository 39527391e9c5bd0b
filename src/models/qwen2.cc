// Qwen2 and Qwen2.5: Llama with biases on q, k and v.
// Reference: transformers modeling_qwen2.py.
#include "models/families.h"
#include "models/qwen.h"

namespace continuo::models {
namespace {

class Qwen2 : public PreNormDecoder {
 public:
  Qwen2(const ConfigView& config, HasTensor has)
      : PreNormDecoder(config, std::move(has), {.out_bias_follows = false}) {
    facts_.family = "qwen2";
    attention_.bias = Bias::kYes;
    set_windows(qwen_windows(config, facts_.layers));
  }
};

}  // namespace

const Family kQwen2{"qwen2",   {"qwen2"}, {"Qwen2ForCausalLM"}, "attention, sliding window", "kv",
                    {"qwen2"}, "",        make_model<Qwen2>};

}  // namespace continuo::models
