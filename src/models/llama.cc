// Llama 2/3 and what is built like it: pre-norm, rotary attention, SiLU-gated MLP.
// Reference: transformers modeling_llama.py.
#include "models/families.h"
#include "models/pre_norm_decoder.h"

namespace continuo::models {
namespace {

class Llama : public PreNormDecoder {
 public:
  Llama(const ConfigView& config, HasTensor has) : PreNormDecoder(config, std::move(has)) {
    facts_.family = "llama";
  }
};

}  // namespace

const Family kLlama{"llama",
                    {"llama"},
                    {"LlamaForCausalLM"},
                    "attention",
                    "kv",
                    {"llama", "llama_bf16", "llama3_rope", "llama_linear_rope", "llama_yarn"},
                    "",
                    make_model<Llama>};

}  // namespace continuo::models
