// ERNIE 4.5 (dense): Llama that rotates interleaved pairs, with one switch for all biases.
// Reference: transformers modeling_ernie4_5.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Ernie45 : public Decoder {
 public:
  Ernie45(const ConfigView& config, HasTensor has)
      : Decoder(config, std::move(has), RopeDefaults{.theta = 500000, .interleaved = true}) {
    facts_.family = "ernie4_5";
    attention_.bias = attention_.out_bias = mlp_bias_ =
        config.flag("use_bias", false) ? Bias::kYes : Bias::kNone;
  }
};

constexpr char kDefaults[] = R"({"tie_word_embeddings": true, "num_key_value_heads": 2,
    "head_dim": 128, "rms_norm_eps": 1e-5})";

}  // namespace

const Family kErnie45{"ernie4_5",
                      {"ernie4_5"},
                      {"Ernie4_5ForCausalLM"},
                      "attention",
                      "kv",
                      {"ernie4_5"},
                      "",
                      make_model_with<Ernie45, kDefaults>};

}  // namespace continuo::models
