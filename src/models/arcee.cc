// Arcee (AFM): Llama with an MLP of squared ReLU and no gate.
// Reference: transformers modeling_arcee.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Arcee : public Decoder {
 public:
  Arcee(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "arcee";
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
  }

 private:
  Value feed_forward(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index) + ".mlp";
    return plain_mlp(step, x, prefix + ".up_proj", prefix + ".down_proj", inner_, act_, mlp_bias_);
  }
};

constexpr char kDefaults[] = R"({"hidden_act": "relu2", "rms_norm_eps": 1e-5})";

}  // namespace

const Family kArcee{"arcee",
                    {"arcee"},
                    {"ArceeForCausalLM"},
                    "attention",
                    "kv",
                    {"arcee"},
                    "",
                    make_model_with<Arcee, kDefaults>};

}  // namespace continuo::models
