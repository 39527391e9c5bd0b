// Llama 2/3 and what is built like it: pre-norm, rotary attention, SiLU-gated MLP.
// Reference: transformers modeling_llama.py.
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Llama : public Decoder {
 public:
  Llama(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "llama";
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
  }
};

}  // namespace

const Family kLlama{
    "llama",
    {"llama"},
    {"LlamaForCausalLM"},
    "attention",
    "kv",
    {"llama", "llama_bf16", "llama3_rope", "llama_linear_rope", "llama_yarn", "llama_dynamic_rope"},
    "",
    make_model<Llama>};

}  // namespace continuo::models
