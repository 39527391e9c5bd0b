// EXAONE 4: norms after each branch, q and k normed by head; with a sliding window, the full layers
// do not rotate. Reference: transformers modeling_exaone4.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Exaone4 : public Decoder {
 public:
  Exaone4(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "exaone4";
    attention_.bias = attention_.out_bias = Bias::kNone;  // whatever the config says
    qk_norm_ = QkNorm::kEachHead;
    if (!config.has("sliding_window")) return;  // all layers full, all rotate
    read_windows(config, 4);
    for (LayerAttention& layer : layers_) layer.rotates = layer.window > 0;
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    return post_norm_layer(step, index, x);
  }
};

constexpr char kDefaults[] = R"({"num_key_value_heads": 32, "rms_norm_eps": 1e-5,
    "sliding_window": 4096})";

}  // namespace

const Family kExaone4{"exaone4",
                      {"exaone4"},
                      {"Exaone4ForCausalLM"},
                      "attention, sliding window",
                      "kv",
                      {"exaone4"},
                      "",
                      make_model_with<Exaone4, kDefaults>};

}  // namespace continuo::models
