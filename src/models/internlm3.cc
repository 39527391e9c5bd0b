// InternLM3: Llama with its own names for the biases' switches.
// Reference: transformers modeling_internlm3.py.
#include "models/families.h"
#include "models/pre_norm_decoder.h"

namespace continuo::models {
namespace {

class InternLm3 : public PreNormDecoder {
 public:
  InternLm3(const ConfigView& config, HasTensor has)
      : PreNormDecoder(config, std::move(has), {.head_dim = 128, .kv_heads = 2}) {
    facts_.family = "internlm3";
    const auto bias = [&](const Keys& keys) {
      return config.flag(keys, false) ? Bias::kYes : Bias::kNone;
    };
    attention_.bias = bias({"attention_bias", "qkv_bias"});
    // One switch for the output projection and the MLP.
    attention_.out_bias = mlp_bias_ = bias({"mlp_bias", "bias"});
  }
};

}  // namespace

const Family kInternLm3{"internlm3",
                        {"internlm3"},
                        {"InternLM3ForCausalLM"},
                        "attention",
                        "kv",
                        {"internlm3"},
                        "Dynamic NTK changes nothing below max_position_embeddings.",
                        make_model<InternLm3>};

}  // namespace continuo::models
