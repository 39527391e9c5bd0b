#include "base/text_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace continuo {
namespace {

using nlohmann::json;

TEST(TextConfig, LevelsGoFromTheWrapperToTheTextModel) {
  const json plain{{"hidden_size", 48}};
  EXPECT_EQ(text_config_key(plain), nullptr);
  EXPECT_EQ(config_levels(plain), std::vector<const json*>{&plain});

  for (const char* key : {"text_config", "llm_config", "language_config", "thinker_config"}) {
    const json wrapper{{"vision_config", json::object()}, {key, plain}};
    EXPECT_STREQ(text_config_key(wrapper), key);
    EXPECT_EQ(config_levels(wrapper), (std::vector<const json*>{&wrapper, &wrapper.at(key)}));
  }
  const json omni{{"talker_config", {{"text_config", {{"hidden_size", 7}}}}},
                  {"thinker_config", {{"text_config", plain}}}};
  const json& thinker = omni.at("thinker_config");
  EXPECT_EQ(config_levels(omni),
            (std::vector<const json*>{&omni, &thinker, &thinker.at("text_config")}));
}

TEST(TextConfig, OddConfigsEnd) {
  EXPECT_EQ(config_levels(json()).size(), 1U);
  EXPECT_EQ(config_levels(json{{"text_config", nullptr}}).size(), 1U);
  EXPECT_EQ(config_levels(json{{"text_config", 7}}).size(), 1U);
  json deep = json::object();
  for (int i = 0; i < 5000; ++i) {
    json outer = json::object();
    outer["text_config"] = std::move(deep);
    deep = std::move(outer);
  }
  EXPECT_EQ(config_levels(deep).size(), 4U);
}

}  // namespace
}  // namespace continuo
