// Granite 3: Llama with four constants, on the embedding, the scores, the branches and the logits.
// Reference: transformers modeling_granite.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Granite : public Decoder {
 public:
  Granite(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "granite";
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
    attention_.options.scale = config.number("attention_multiplier");
    embedding_multiplier_ = config.number("embedding_multiplier");
    residual_multiplier_ = config.number("residual_multiplier");
    logits_scaling_ = config.number("logits_scaling");
    if (logits_scaling_ == 0) config.fail("logits_scaling: wanted another number than 0");
  }

  Value embed(Step& step) const override { return Decoder::embed(step) * embedding_multiplier_; }

  Value head(Step& step, Value x) const override {
    return Decoder::head(step, x) / logits_scaling_;
  }

 private:
  Value attend(Step& step, int64_t index, Value x) const override {
    return Decoder::attend(step, index, x) * residual_multiplier_;
  }

  Value feed_forward(Step& step, int64_t index, Value x) const override {
    return Decoder::feed_forward(step, index, x) * residual_multiplier_;
  }

  double embedding_multiplier_ = 1, residual_multiplier_ = 1, logits_scaling_ = 1;
};

constexpr char kDefaults[] = R"({"embedding_multiplier": 1.0, "attention_multiplier": 1.0,
    "residual_multiplier": 1.0, "logits_scaling": 1.0})";

}  // namespace

const Family kGranite{"granite",
                      {"granite"},
                      {"GraniteForCausalLM"},
                      "attention",
                      "kv",
                      {"granite"},
                      "",
                      make_model_with<Granite, kDefaults>};

}  // namespace continuo::models
