// SmolLM3: Llama with layers that do not rotate (NoPE; Yang et al. 2025).
// Reference: transformers modeling_smollm3.py.
#include <fmt/format.h>

#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class SmolLm3 : public Decoder {
 public:
  SmolLm3(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "smollm3";
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
    // Without layer_types, transformers lets the layers that do not rotate slide.
    const bool slides = config.flag("use_sliding_window", false) && config.has("sliding_window");
    if (slides && !config.has("layer_types"))
      config.fail("use_sliding_window: wanted layer_types with it");
    if (slides) read_windows(config, 1);
    read_rotations(config);
  }

 private:
  // no_rope_layers: 1 for a layer that rotates, 0 for one that does not.
  void read_rotations(const ConfigView& config) {
    const std::vector<int64_t> given = config.integers("no_rope_layers");
    const size_t interval = static_cast<size_t>(config.size("no_rope_layer_interval", 4));
    if (!given.empty() && given.size() < layers_.size())
      config.fail(fmt::format("no_rope_layers: wanted at least {} entries, got {}", layers_.size(),
                              given.size()));
    for (size_t i = 0; i < layers_.size(); ++i)
      layers_[i].rotates = given.empty() ? (i + 1) % interval != 0 : given[i] != 0;
  }
};

constexpr char kDefaults[] = R"({"tie_word_embeddings": true, "num_key_value_heads": 4,
    "rope_theta": 2000000.0})";

}  // namespace

const Family kSmolLm3{"smollm3",
                      {"smollm3"},
                      {"SmolLM3ForCausalLM"},
                      "attention",
                      "kv",
                      {"smollm3"},
                      "",
                      make_model_with<SmolLm3, kDefaults>};

}  // namespace continuo::models
