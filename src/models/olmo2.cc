// OLMo 2: norms after each branch instead of before, and over the whole q and k projections.
// Reference: transformers modeling_olmo2.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Olmo2 : public Decoder {
 public:
  Olmo2(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "olmo2";
    qk_norm_ = QkNorm::kAllHeads;
    if (config.has("clip_qkv")) config.fail("clip_qkv: not part of OLMo 2");
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    return post_norm_layer(step, index, x);
  }
};

constexpr char kDefaults[] = R"({"rms_norm_eps": 1e-5})";

}  // namespace

const Family kOlmo2{"olmo2",
                    {"olmo2"},
                    {"Olmo2ForCausalLM"},
                    "attention",
                    "kv",
                    {"olmo2"},
                    "",
                    make_model_with<Olmo2, kDefaults>};

}  // namespace continuo::models
