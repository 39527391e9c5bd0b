// Bamba: Mamba-2 and rotary attention layers, each with a gated MLP. Reference: transformers
// modeling_bamba.py.
#include <algorithm>

#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"
#include "models/mamba_config.h"

namespace continuo::models {
namespace {

class Bamba : public Decoder {
 public:
  // Half of a head turns, whether the config says so or not.
  Bamba(const ConfigView& config, HasTensor has)
      : Decoder(config, std::move(has), {.partial = 0.5}) {
    facts_.family = "bamba";
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
    names_ = {"feed_forward", "pre_ff_layernorm", "final_layernorm"};
    mixer_ = read_mamba2(config, config.size("mamba_expand", 2) * facts_.hidden, 256);
    const std::vector<int64_t> attention = config.integers("attn_layer_indices");
    for (int64_t i = 0; i < facts_.layers; ++i)
      if (std::find(attention.begin(), attention.end(), i) == attention.end())
        facts_.mixers[size_t(i)] = "mamba2";
  }

 private:
  Value attend(Step& step, int64_t index, Value x) const override {
    if (facts_.mixers[static_cast<size_t>(index)] != "mamba2")
      return Decoder::attend(step, index, x);
    return mamba2_mixer(step, x, layer_prefix(index) + ".mamba", state_name(index), mixer_);
  }

  Mamba2Mixer mixer_;
};

constexpr char kDefaults[] = R"({"num_key_value_heads": 8, "rms_norm_eps": 1e-5})";

}  // namespace

const Family kBamba{"bamba",
                    {"bamba"},
                    {"BambaForCausalLM"},
                    "Mamba-2, attention",
                    "recurrent, kv",
                    {"bamba"},
                    "",
                    make_model_with<Bamba, kDefaults>};

}  // namespace continuo::models
