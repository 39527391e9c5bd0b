// Qwen3.5, the text model: Qwen3-Next's mixers with flat projections and dense feed-forward layers.
// Reference: transformers modeling_qwen3_5.py.
#include "models/config_defaults.h"
#include "models/families.h"
#include "models/gated_delta_hybrid.h"

namespace continuo::models {
namespace {

class Qwen35 : public GatedDeltaHybrid {
 public:
  Qwen35(const ConfigView& config, HasTensor has) : GatedDeltaHybrid(config, std::move(has)) {
    facts_.family = "qwen3_5";
  }

 private:
  Projected project_linear(Step& step, Value x, const std::string& prefix) const override {
    const int64_t H = net_.value_heads;
    return {linear(step, x, prefix + ".in_proj_qkv", 2 * net_.keys() + net_.values()),
            linear(step, x, prefix + ".in_proj_z", net_.values()),
            linear(step, x, prefix + ".in_proj_a", H), linear(step, x, prefix + ".in_proj_b", H)};
  }
};

constexpr char kDefaults[] = R"({"head_dim": 256, "num_key_value_heads": 4,
    "intermediate_size": 12288})";

}  // namespace

const Family kQwen35{"qwen3_5",
                     {"qwen3_5_text", "qwen3_5"},
                     {"Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration"},
                     "gated delta net, attention",
                     "recurrent (conv tail, delta state), kv",
                     {"qwen3_5", "qwen3_5_text"},
                     "Text only.",
                     make_model_with<Qwen35, kDefaults>};

}  // namespace continuo::models
