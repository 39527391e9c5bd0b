// Qwen3: Llama with RMSNorm on each query and key head.
// Reference: transformers modeling_qwen3.py.
#include "models/families.h"
#include "models/qwen.h"

namespace continuo::models {
namespace {

class Qwen3 : public PreNormDecoder {
 public:
  Qwen3(const ConfigView& config, HasTensor has)
      : PreNormDecoder(config, std::move(has), {.head_dim = 128}) {
    facts_.family = "qwen3";
    set_windows(qwen_windows(config, facts_.layers));
  }

 private:
  SelfAttention attention_block(Step& step, int64_t index) const override {
    SelfAttention block = PreNormDecoder::attention_block(step, index);
    block.qk_norm = head_norms(step, attention_prefix(index), norm_eps_);
    return block;
  }
};

}  // namespace

const Family kQwen3{"qwen3",
                    {"qwen3"},
                    {"Qwen3ForCausalLM"},
                    "attention, sliding window",
                    "kv",
                    {"qwen3", "qwen3_f16"},
                    "",
                    make_model<Qwen3>};

}  // namespace continuo::models
