// OLMo 2 and 3: norms after each branch instead of before, and over the whole q and k projections.
// OLMo 3's sliding layers, three of four, rotate without the full layers' scaling.
// References: transformers modeling_olmo2.py, modeling_olmo3.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Olmo2 : public Decoder {
 public:
  Olmo2(const ConfigView& config, HasTensor has, const RopeDefaults& rope = {})
      : Decoder(config, std::move(has), rope) {
    facts_.family = "olmo2";
    qk_norm_ = QkNorm::kAllHeads;
    if (config.has("clip_qkv")) config.fail("clip_qkv: not part of OLMo 2");
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    return post_norm_layer(step, index, x);
  }
};

class Olmo3 : public Olmo2 {
 public:
  Olmo3(const ConfigView& config, HasTensor has)
      : Olmo2(config, std::move(has),
              RopeDefaults{.theta = kTheta, .layer_type = "full_attention"}) {
    facts_.family = "olmo3";
    if (!config.has("sliding_window")) config.fail("sliding_window: wanted a number, got none");
    set_windows(config, config.size("sliding_window"),
                [](int64_t index) { return (index + 1) % 4 != 0; });
    // In the older spelling rope_theta, too, is the full layers' alone.
    sliding_rope_ = read_sliding_rope(config, attention_.head_dim, kTheta);
  }

 private:
  static constexpr double kTheta = 500000;
};

constexpr char kDefaults[] = R"({"rms_norm_eps": 1e-5})";
constexpr char kOlmo3Defaults[] = R"({"rms_norm_eps": 1e-5, "sliding_window": 4096})";

}  // namespace

const Family kOlmo2{"olmo2",
                    {"olmo2"},
                    {"Olmo2ForCausalLM"},
                    "attention",
                    "kv",
                    {"olmo2"},
                    "",
                    make_model_with<Olmo2, kDefaults>};

const Family kOlmo3{"olmo3",
                    {"olmo3"},
                    {"Olmo3ForCausalLM"},
                    "attention, sliding window",
                    "kv",
                    {"olmo3"},
                    "",
                    make_model_with<Olmo3, kOlmo3Defaults>};

}  // namespace continuo::models
