// What the families whose experts compete in groups (DeepSeek-V3 and its relatives) read alike.
#pragma once

#include <string>

#include "models/config_view.h"
#include "ops/moe.h"

namespace continuo::models {

// "softmax" or "sigmoid"; another word throws ConfigError.
ops::Scoring read_scoring(const ConfigView& config, const char* key, const std::string& fallback);

// Throws ConfigError where groups do not divide the experts or the best ones hold too few.
void check_groups(const ConfigView& config, int64_t experts, const ops::Router& router);

}  // namespace continuo::models
