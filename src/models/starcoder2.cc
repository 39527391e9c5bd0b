// StarCoder2: LayerNorm and biases throughout, an MLP without a gate, a sliding window in every
// layer where the config has one. Reference: transformers modeling_starcoder2.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Starcoder2 : public Decoder {
 public:
  Starcoder2(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "starcoder2";
    attention_.bias = attention_.out_bias = mlp_bias_ =
        config.flag("use_bias", true) ? Bias::kYes : Bias::kNone;
    set_windows(read_window(config));
  }

 private:
  Value norm(Step& step, Value x, const std::string& name) const override {
    return layer_norm(step, x, name, norm_eps_, true);
  }

  Value feed_forward(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index) + ".mlp";
    return plain_mlp(step, x, prefix + ".c_fc", prefix + ".c_proj", inner_, act_, mlp_bias_);
  }
};

constexpr char kDefaults[] = R"({"tie_word_embeddings": true, "num_key_value_heads": 2,
    "hidden_act": "gelu_pytorch_tanh", "norm_epsilon": 1e-5})";

}  // namespace

const Family kStarcoder2{"starcoder2",
                         {"starcoder2"},
                         {"Starcoder2ForCausalLM"},
                         "attention, sliding window",
                         "kv",
                         {"starcoder2"},
                         "",
                         make_model_with<Starcoder2, kDefaults>};

}  // namespace continuo::models
