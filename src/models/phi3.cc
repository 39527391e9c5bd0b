// Phi-3 and Phi-4-mini: Llama with fused projections, a sliding window in every layer where the
// config has one, and LongRoPE. Reference: transformers modeling_phi3.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Phi3 : public Decoder {
 public:
  Phi3(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "phi3";
    attention_.bias = attention_.out_bias = Bias::kNone;  // whatever the config says
    // transformers reads "yarn" of early Phi-3 configs as LongRoPE; no known checkpoint has it.
    if (rope_.type != "default" && rope_.type != "longrope")
      config.fail("rope type: wanted default or longrope, got \"" + rope_.type + "\"");
    attention_.qkv = "qkv_proj";
    set_windows(read_window(config));
  }

 private:
  Value feed_forward(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index) + ".mlp";
    return fused_gated_mlp(step, x, prefix + ".gate_up_proj", prefix + ".down_proj", inner_, act_);
  }
};

constexpr char kDefaults[] = R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 4096,
    "original_max_position_embeddings": 4096})";

}  // namespace

const Family kPhi3{"phi3",
                   {"phi3"},
                   {"Phi3ForCausalLM"},
                   "attention, sliding window",
                   "kv",
                   {"phi3", "phi3_longrope"},
                   "LongRoPE's factors follow the longest sequence served",
                   make_model_with<Phi3, kDefaults>};

}  // namespace continuo::models
