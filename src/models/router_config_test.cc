#include "models/router_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace continuo::models {
namespace {

using nlohmann::json;

TEST(RouterConfig, KnowsTwoScorings) {
  const json config = {{"a", "sigmoid"}, {"b", "softmax"}, {"c", "tanh"}};
  const ConfigView view(config);
  EXPECT_EQ(read_scoring(view, "a", "softmax"), ops::Scoring::kSigmoid);
  EXPECT_EQ(read_scoring(view, "b", "sigmoid"), ops::Scoring::kSoftmax);
  EXPECT_EQ(read_scoring(view, "absent", "sigmoid"), ops::Scoring::kSigmoid);
  EXPECT_THROW(read_scoring(view, "c", "softmax"), ConfigError);
}

ops::Router grouped(const json& config, int64_t experts, int64_t taken) {
  ops::Router router;
  router.top_k = taken;
  read_groups(ConfigView(config), {"n", "top"}, {4, 3}, experts, router);
  return router;
}

TEST(RouterConfig, BestGroupsHoldWhatATokenTakes) {
  EXPECT_EQ(grouped({{"n", 4}, {"top", 2}}, 12, 6).top_groups, 2);
  EXPECT_EQ(grouped(json::object(), 12, 6).groups, 4);
  EXPECT_EQ(grouped(json::object(), 12, 6).top_groups, 3);
  EXPECT_THROW(grouped({{"n", 5}, {"top", 2}}, 12, 3), ConfigError);
  EXPECT_THROW(grouped({{"n", 4}, {"top", 5}}, 12, 3), ConfigError);
  EXPECT_THROW(grouped({{"n", 4}, {"top", 2}}, 12, 7), ConfigError);
}

TEST(RouterConfig, NullAndZeroMeanNoGroups) {
  for (const json& none : {json(), json(0)}) {
    EXPECT_EQ(grouped({{"n", none}, {"top", 3}}, 7, 6).groups, 1);
    EXPECT_EQ(grouped({{"n", none}, {"top", 3}}, 7, 6).top_groups, 1);
    EXPECT_EQ(grouped({{"n", 4}, {"top", none}}, 12, 11).top_groups, 4);
  }
}

}  // namespace
}  // namespace continuo::models
