// InternLM3: Llama with its own names for the biases' switches.
// Reference: transformers modeling_internlm3.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class InternLm3 : public Decoder {
 public:
  InternLm3(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "internlm3";
    const auto bias = [&](const Keys& keys) {
      return config.flag(keys, false) ? Bias::kYes : Bias::kNone;
    };
    attention_.bias = bias({"attention_bias", "qkv_bias"});
    // One switch for the output projection and the MLP.
    attention_.out_bias = mlp_bias_ = bias({"mlp_bias", "bias"});
  }
};

constexpr char kDefaults[] = R"({"head_dim": 128, "num_key_value_heads": 2})";

}  // namespace

const Family kInternLm3{"internlm3",
                        {"internlm3"},
                        {"InternLM3ForCausalLM"},
                        "attention",
                        "kv",
                        {"internlm3"},
                        "Dynamic NTK follows the longest sequence served.",
                        make_model_with<InternLm3, kDefaults>};

}  // namespace continuo::models
