// Mistral: Llama with a sliding window in every layer.
// Reference: transformers modeling_mistral.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Mistral : public Decoder {
 public:
  Mistral(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "mistral";
    attention_.bias = attention_.out_bias = Bias::kNone;  // whatever the config says
    set_windows(read_window(config));
  }
};

constexpr char kDefaults[] = R"({"num_key_value_heads": 8, "sliding_window": 4096})";

}  // namespace

const Family kMistral{"mistral",
                      {"mistral"},
                      {"MistralForCausalLM"},
                      "attention, sliding window",
                      "kv",
                      {"mistral"},
                      "GGUF has no place for the window: files of it open as llama.",
                      make_model_with<Mistral, kDefaults>};

}  // namespace continuo::models
