// GLM-4 (0414): each branch normed before and after, half of a head rotates in interleaved pairs,
// biases on q, k and v only. Reference: transformers modeling_glm4.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Glm4 : public Decoder {
 public:
  Glm4(const ConfigView& config, HasTensor has)
      : Decoder(config, std::move(has), RopeDefaults{.partial = 0.5, .interleaved = true}) {
    facts_.family = "glm4";
    attention_.out_bias = Bias::kNone;
  }

 private:
  Value attend(Step& step, int64_t index, Value x) const override {
    return norm(step, Decoder::attend(step, index, x),
                layer_prefix(index) + ".post_self_attn_layernorm");
  }

  Value feed_forward(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index), mlp = prefix + ".mlp";
    const Value y =
        fused_gated_mlp(step, x, mlp + ".gate_up_proj", mlp + ".down_proj", inner_, act_);
    return norm(step, y, prefix + ".post_mlp_layernorm");
  }
};

constexpr char kDefaults[] = R"({"num_key_value_heads": 2, "head_dim": 128,
    "rms_norm_eps": 1.5625e-07, "attention_bias": true})";

}  // namespace

const Family kGlm4{"glm4",
                   {"glm4"},
                   {"Glm4ForCausalLM"},
                   "attention",
                   "kv",
                   {"glm4"},
                   "",
                   make_model_with<Glm4, kDefaults>};

}  // namespace continuo::models
