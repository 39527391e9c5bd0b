// Mistral: Llama with a sliding window in every layer.
// Reference: transformers modeling_mistral.py.
#include "models/families.h"
#include "models/pre_norm_decoder.h"

namespace continuo::models {
namespace {

class Mistral : public PreNormDecoder {
 public:
  Mistral(const ConfigView& config, HasTensor has)
      : PreNormDecoder(config, std::move(has), {.kv_heads = 8}) {
    facts_.family = "mistral";
    set_windows(uniform_windows(config, facts_.layers, 4096));
  }
};

}  // namespace

const Family kMistral{"mistral",
                      {"mistral"},
                      {"MistralForCausalLM"},
                      "attention, sliding window",
                      "kv",
                      {"mistral"},
                      "GGUF has no place for the window: files of it open as llama.",
                      make_model<Mistral>};

}  // namespace continuo::models
