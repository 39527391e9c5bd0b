#include "models/mamba_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "models/registry.h"

namespace continuo::models {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

HasTensor only(std::vector<std::string> names) {
  return [names = std::move(names)](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
}

std::map<std::string, Shape> wanted_weights(const Model& model) {
  StepShape shape;
  shape.columns = shape.context = 4;
  const auto step = write_step(model, shape, Target{});
  EXPECT_TRUE(step.ok()) << step.error().message;
  std::map<std::string, Shape> weights;
  for (const WeightSpec& spec : step.value().weights)
    for (const std::string& source : spec.sources) weights[source] = spec.source_shape;
  return weights;
}

json mamba_library_config() {
  return {{"d_model", 32},          {"n_layer", 2},
          {"vocab_size", 51},       {"ssm_cfg", json::object()},
          {"rms_norm", true},       {"residual_in_fp32", true},
          {"fused_add_norm", true}, {"pad_vocab_size_multiple", 8}};
}

TEST(MambaConfig, ReadsTheMambaLibrarysFirstConfigs) {
  const auto model = create(mamba_library_config(), only({"backbone.embedding.weight"}));
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->facts().family, "mamba");
  const auto weights = wanted_weights(**model);
  EXPECT_EQ(weights.at("backbone.embedding.weight"), (Shape{56, 32}));  // the vocabulary rounded up
  EXPECT_EQ(weights.count("lm_head.weight"), 0u);                       // tied
  EXPECT_EQ(weights.at("backbone.layers.1.mixer.x_proj.weight"), (Shape{2 + 2 * 16, 64}));
  EXPECT_EQ(weights.at("backbone.layers.1.mixer.A_log"), (Shape{64, 16}));
}

TEST(MambaConfig, ReadsTheMambaLibrarysMamba2Configs) {
  json config = mamba_library_config();
  config["ssm_cfg"] = {{"layer", "Mamba2"}, {"headdim", 16}, {"ngroups", 2}, {"d_state", 12}};
  config["tie_embeddings"] = false;
  const auto model = create(config, only({"backbone.embedding.weight", "lm_head.weight"}));
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_THAT((*model)->facts().mixers, ElementsAre("mamba2", "mamba2"));
  const auto weights = wanted_weights(**model);
  EXPECT_EQ(weights.at("backbone.layers.0.mixer.in_proj.weight"),
            (Shape{2 * 64 + 2 * 2 * 12 + 4, 32}));
  EXPECT_EQ(weights.at("lm_head.weight"), (Shape{56, 32}));
  // Untied, says the config; but there is no head.
  const auto headless = create(config, only({"backbone.embedding.weight"}));
  EXPECT_EQ(wanted_weights(**headless).count("lm_head.weight"), 0u);
}

TEST(MambaConfig, RefusesWhatItLacks) {
  const std::vector<std::pair<json, std::string>> cases{
      {{{"attn_layer_idx", {1}}}, "attn_layer_idx"},
      {{{"d_intermediate", 64}}, "d_intermediate"},
      {{{"rms_norm", false}}, "rms_norm"},
      {{{"ssm_cfg", {{"layer", "Mamba2"}, {"D_has_hdim", true}}}}, "D_has_hdim"},
      {{{"ssm_cfg", {{"layer", "Mamba2"}, {"headdim", 7}}}}, "num_heads * head_dim"},
      {{{"ssm_cfg", {{"layer", "Mamba2"}, {"headdim", 16}, {"ngroups", 3}}}}, "groups"},
  };
  for (const auto& [change, message] : cases) {
    json config = mamba_library_config();
    config.update(change);
    const auto model = create(config, only({}));
    if (!model.ok()) {
      EXPECT_THAT(model.error().message, HasSubstr(message));
      continue;
    }
    StepShape shape;
    shape.context = 1;
    const auto step = write_step(**model, shape, Target{});
    ASSERT_FALSE(step.ok()) << change.dump();
    EXPECT_THAT(step.error().message, HasSubstr(message));
  }
}

TEST(MambaConfig, TimeStepLimitsMayBeInfinite) {
  const auto limits = [](json value) {
    const json config{{"time_step_limit", std::move(value)}};
    Mamba2Mixer mixer;
    read_time_step_limit(ConfigView(config), mixer);
    return std::pair(mixer.dt_min, mixer.dt_max);
  };
  EXPECT_EQ(limits({0.0, INFINITY}), std::pair(0.0, 0.0));
  EXPECT_EQ(limits({0.25, 0.5}), std::pair(0.25, 0.5));
  EXPECT_EQ(limits(nullptr), std::pair(0.0, 0.0));
  EXPECT_THROW(limits({0.5, 0.25}), ConfigError);
  EXPECT_THROW(limits({0.5}), ConfigError);
  EXPECT_THROW(limits({-1.0, 1.0}), ConfigError);
}

TEST(MambaConfig, LayerKindsInEverySpelling) {
  const auto kinds = [](const json& config) { return read_layer_kinds(ConfigView(config), 4); };
  EXPECT_THAT(kinds({{"hybrid_override_pattern", "M*-E"}}),
              ElementsAre("mamba", "attention", "mlp", "moe"));
  EXPECT_THAT(kinds({{"layers_block_type", {"mamba", "attention", "mlp", "hybrid"}}}),
              ElementsAre("mamba", "attention", "mlp", "hybrid"));
  EXPECT_THAT(kinds({{"layer_types", {"linear_attention", "full_attention", "mlp", "moe"}}}),
              ElementsAre("mamba", "attention", "mlp", "moe"));
  EXPECT_TRUE(kinds(json::object()).empty());
  EXPECT_THROW(kinds({{"hybrid_override_pattern", "M*-"}}), ConfigError);
  EXPECT_THROW(kinds({{"hybrid_override_pattern", "M*-x"}}), ConfigError);
}

}  // namespace
}  // namespace continuo::models
