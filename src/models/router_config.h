// What the families whose experts compete in groups (DeepSeek-V3 and its relatives) read alike.
#pragma once

#include <string>

#include "models/config_view.h"
#include "ops/moe.h"

namespace continuo::models {

// "softmax" or "sigmoid"; another word throws ConfigError.
ops::Scoring read_scoring(const ConfigView& config, const char* key, const std::string& fallback);

// The groups of experts that compete, and how many of them win; `fallback` where a config is
// silent. One group where `groups` is null or 0, and all win where `top` is. Throws ConfigError
// where groups do not divide the experts or the best ones hold too few.
struct GroupKeys {
  Keys groups, top;
};
struct GroupCounts {
  int64_t groups = 1, top = 1;
};
void read_groups(const ConfigView& config, const GroupKeys& keys, GroupCounts fallback,
                 int64_t experts, ops::Router& router);

}  // namespace continuo::models
