// Seed-OSS: Llama with biases on q, k and v and a switch of its own for the output's.
// Reference: transformers modeling_seed_oss.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class SeedOss : public Decoder {
 public:
  SeedOss(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "seed_oss";
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
    attention_.out_bias = config.flag("attention_out_bias", false) ? Bias::kYes : Bias::kNone;
  }
};

constexpr char kDefaults[] =
    R"({"head_dim": 128, "num_key_value_heads": 8, "attention_bias": true})";

}  // namespace

const Family kSeedOss{"seed_oss",
                      {"seed_oss"},
                      {"SeedOssForCausalLM"},
                      "attention",
                      "kv",
                      {"seed_oss"},
                      "",
                      make_model_with<SeedOss, kDefaults>};

}  // namespace continuo::models
