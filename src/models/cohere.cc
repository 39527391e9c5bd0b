// Command R and Command R7B: LayerNorm without bias, attention and MLP side by side on one norm,
// interleaved rotation, logits times a constant. Cohere 2 slides in three of four layers and
// rotates in those only. References: transformers modeling_cohere.py, modeling_cohere2.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Cohere : public Decoder {
 public:
  Cohere(const ConfigView& config, HasTensor has)
      : Decoder(config, std::move(has), RopeDefaults{.interleaved = true}) {
    facts_.family = "cohere";
    norms_qk_ = config.flag("use_qk_norm", false);
    logit_scale_ = config.number("logit_scale");
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    SelfAttention block = attention_block(step, index);
    if (norms_qk_) norm_each_head(step, block, index);
    const Value h = layer_norm(step, x, layer_prefix(index) + ".input_layernorm", norm_eps_, false);
    return x + attend(step, index, h, block) + mlp(step, index, h);
  }

  Value final_norm(Step& step, Value x) const override {
    return layer_norm(step, x, prefix_ + "norm", norm_eps_, false);
  }

  Value head(Step& step, Value x) const override { return Decoder::head(step, x) * logit_scale_; }

 private:
  // Each head has a weight of its own: [heads, D].
  void norm_each_head(Step& step, SelfAttention& block, int64_t index) const {
    const std::string prefix = layer_prefix(index) + ".self_attn.";
    block.qk_norm = [this, &step, prefix](Value x, char which) {
      const Value w = step.weight(prefix + which + "_norm.weight", {x.dim(2), x.dim(3)});
      return layer_norm(x, w, Value(), norm_eps_);
    };
  }

  bool norms_qk_ = false;
  double logit_scale_ = 1;
};

class Cohere2 : public Cohere {
 public:
  Cohere2(const ConfigView& config, HasTensor has) : Cohere(config, std::move(has)) {
    facts_.family = "cohere2";
    read_layer_types(config, 4);
    for (LayerAttention& layer : layers_) layer.rotates = layer.sliding;
  }
};

constexpr char kDefaults[] = R"({"tie_word_embeddings": true, "layer_norm_eps": 1e-5,
    "logit_scale": 0.0625})";
constexpr char kDefaults2[] = R"({"tie_word_embeddings": true, "layer_norm_eps": 1e-5,
    "logit_scale": 0.0625, "sliding_window": 4096})";

}  // namespace

const Family kCohere{"cohere",
                     {"cohere"},
                     {"CohereForCausalLM"},
                     "attention",
                     "kv",
                     {"cohere"},
                     "",
                     make_model_with<Cohere, kDefaults>};

const Family kCohere2{"cohere2",
                      {"cohere2"},
                      {"Cohere2ForCausalLM"},
                      "attention, sliding window",
                      "kv",
                      {"cohere2"},
                      "",
                      make_model_with<Cohere2, kDefaults2>};

}  // namespace continuo::models
