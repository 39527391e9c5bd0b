// StableLM 2 and StableLM 3B: LayerNorm with bias, partial rotation; by option a norm for each head
// of q and k, and attention and MLP side by side. Reference: transformers modeling_stablelm.py.
#include <fmt/format.h>

#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class StableLm : public Decoder {
 public:
  StableLm(const ConfigView& config, HasTensor has)
      : Decoder(config, std::move(has), RopeDefaults{.partial = 0.25}) {
    facts_.family = "stablelm";
    attention_.bias = config.flag("use_qkv_bias", false) ? Bias::kYes : Bias::kNone;
    attention_.out_bias = Bias::kNone;
    norms_qk_ = config.flag("qk_layernorm", false);
    parallel_ = config.flag("use_parallel_residual", false);
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    return parallel_ ? parallel_layer(step, index, x) : Decoder::layer(step, index, x);
  }

 private:
  Value norm(Step& step, Value x, const std::string& name) const override {
    return layer_norm(step, x, name, norm_eps_, true);
  }

  // One tensor [D] a head, without bias: q_layernorm.norms.0.weight, ...
  SelfAttention attention_block(Step& step, int64_t index) const override {
    SelfAttention block = Decoder::attention_block(step, index);
    if (!norms_qk_) return block;
    block.qk_norm = [this, &step, prefix = attention_prefix(index)](Value x, char which) {
      const std::string name = fmt::format("{}.{}_layernorm.norms", prefix, which);
      WeightSpec spec{name, DType::kF32, {x.dim(2), x.dim(3)}, {}, {x.dim(3)}};
      for (int64_t i = 0; i < x.dim(2); ++i)
        spec.sources.push_back(fmt::format("{}.{}.weight", name, i));
      return layer_norm(x, step.weight(spec), Value(), norm_eps_);
    };
    return block;
  }

  bool norms_qk_ = false, parallel_ = false;
};

constexpr char kDefaults[] = R"({"num_key_value_heads": 32, "layer_norm_eps": 1e-5})";

}  // namespace

const Family kStableLm{"stablelm",
                       {"stablelm"},
                       {"StableLmForCausalLM"},
                       "attention",
                       "kv",
                       {"stablelm"},
                       "",
                       make_model_with<StableLm, kDefaults>};

}  // namespace continuo::models
