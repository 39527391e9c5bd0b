// Seed-OSS: Llama with biases on q, k and v and a switch of its own for the output's.
// Reference: transformers modeling_seed_oss.py.
#include "models/families.h"
#include "models/pre_norm_decoder.h"

namespace continuo::models {
namespace {

class SeedOss : public PreNormDecoder {
 public:
  SeedOss(const ConfigView& config, HasTensor has)
      : PreNormDecoder(config, std::move(has),
                       {.head_dim = 128, .kv_heads = 8, .attention_bias = true}) {
    facts_.family = "seed_oss";
    attention_.out_bias = config.flag("attention_out_bias", false) ? Bias::kYes : Bias::kNone;
  }
};

}  // namespace

const Family kSeedOss{"seed_oss",   {"seed_oss"}, {"SeedOssForCausalLM"}, "attention", "kv",
                      {"seed_oss"}, "",           make_model<SeedOss>};

}  // namespace continuo::models
