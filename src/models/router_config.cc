#include "models/router_config.h"

#include <fmt/format.h>

#include <algorithm>

namespace continuo::models {

ops::Scoring read_scoring(const ConfigView& config, const char* key, const std::string& fallback) {
  const std::string word = config.text(key, fallback);
  if (word != "softmax" && word != "sigmoid")
    config.fail(fmt::format("{}: wanted \"softmax\" or \"sigmoid\", got \"{}\"", key, word));
  return word == "sigmoid" ? ops::Scoring::kSigmoid : ops::Scoring::kSoftmax;
}

void read_groups(const ConfigView& config, const GroupKeys& keys, GroupCounts fallback,
                 int64_t experts, ops::Router& router) {
  router.groups = std::max<int64_t>(1, config.optional_size(keys.groups, fallback.groups));
  router.top_groups = config.optional_size(keys.top, fallback.top);
  if (router.top_groups == 0 || router.groups == 1) router.top_groups = router.groups;
  if (experts % router.groups == 0 && router.top_groups <= router.groups &&
      router.top_k <= experts / router.groups * router.top_groups)
    return;
  config.fail(
      fmt::format("wanted {} groups to divide {} experts, and the best {} of them to hold the {} "
                  "that a token takes",
                  router.groups, experts, router.top_groups, router.top_k));
}

}  // namespace continuo::models
