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
    set_windows(config.size("sliding_window", 0));
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = norm(step, x, prefix + ".input_layernorm");
    x = x + attend(step, index, h, attention_block(step, index));
    const Value m = norm(step, x, prefix + ".post_attention_layernorm");
    return x + plain_mlp(step, m, prefix + ".mlp.c_fc", prefix + ".mlp.c_proj", inner_, act_,
                         mlp_bias_);
  }

  Value final_norm(Step& step, Value x) const override { return norm(step, x, prefix_ + "norm"); }

 private:
  Value norm(Step& step, Value x, const std::string& name) const {
    return layer_norm(step, x, name, norm_eps_, true);
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
