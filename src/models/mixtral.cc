// Mixtral: Mistral's attention, every layer a mixture of experts.
// Reference: transformers modeling_mixtral.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"
#include "ops/sparse_mlp.h"

namespace continuo::models {
namespace {

class Mixtral : public Decoder {
 public:
  Mixtral(const ConfigView& config, HasTensor has)
      : Decoder(config, std::move(has), {.theta = 1e6}) {
    facts_.family = "mixtral";
    attention_.bias = attention_.out_bias = Bias::kNone;  // whatever the config says
    set_windows(read_window(config));
    sparse_.experts = config.size({"num_local_experts", "num_experts"}, 8);
    sparse_.inner = inner_;
    sparse_.act = act_;
    sparse_.names = {"w1", "w3", "w2"};
    sparse_.router.top_k = config.size("num_experts_per_tok", 2);
    // The reference normalises the chosen of a softmax over all: a softmax over the chosen.
    sparse_.router.scoring = Scoring::kSoftmaxOfChosen;
  }

 private:
  Value feed_forward(Step& step, int64_t index, Value x) const override {
    return sparse_mlp(step, x, layer_prefix(index) + ".block_sparse_moe", sparse_);
  }

  SparseMlp sparse_;
};

constexpr char kDefaults[] = R"({"num_key_value_heads": 8})";

}  // namespace

const Family kMixtral{"mixtral",
                      {"mixtral"},
                      {"MixtralForCausalLM"},
                      "attention, sliding window",
                      "kv",
                      {"mixtral", "mlx_mixtral_6bit_g32"},
                      "",
                      make_model_with<Mixtral, kDefaults>};

}  // namespace continuo::models
