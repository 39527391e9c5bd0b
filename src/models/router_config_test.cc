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

TEST(RouterConfig, BestGroupsHoldWhatATokenTakes) {
  const json config = json::object();
  const auto check = [&](int64_t experts, int64_t groups, int64_t best, int64_t taken) {
    ops::Router router;
    router.groups = groups;
    router.top_groups = best;
    router.top_k = taken;
    check_groups(ConfigView(config), experts, router);
  };
  EXPECT_NO_THROW(check(12, 4, 2, 6));
  EXPECT_THROW(check(12, 5, 2, 3), ConfigError);
  EXPECT_THROW(check(12, 4, 5, 3), ConfigError);
  EXPECT_THROW(check(12, 4, 2, 7), ConfigError);
}

}  // namespace
}  // namespace continuo::models
