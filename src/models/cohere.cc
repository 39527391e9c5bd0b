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
    return parallel_layer(step, index, x);
  }

  Value head(Step& step, Value x) const override { return Decoder::head(step, x) * logit_scale_; }

 private:
  Value norm(Step& step, Value x, const std::string& name) const override {
    return layer_norm(step, x, name, norm_eps_, false);
  }

  // Each head has a weight of its own: [heads, D].
  SelfAttention attention_block(Step& step, int64_t index) const override {
    SelfAttention block = Decoder::attention_block(step, index);
    if (!norms_qk_) return block;
    block.qk_norm = [this, &step, prefix = attention_prefix(index)](Value x, char which) {
      const Value w = step.weight(prefix + "." + which + "_norm.weight", {x.dim(2), x.dim(3)});
      return layer_norm(x, w, Value(), norm_eps_);
    };
    return block;
  }

  bool norms_qk_ = false;
  double logit_scale_ = 1;
};

class Cohere2 : public Cohere {
 public:
  Cohere2(const ConfigView& config, HasTensor has) : Cohere(config, std::move(has)) {
    facts_.family = "cohere2";
    read_windows(config, 4);
    for (LayerAttention& layer : layers_) layer.rotates = layer.window > 0;
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
