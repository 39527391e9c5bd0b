// Which mixer each layer has, in the spellings that hybrid models' configs use.
#pragma once

#include <string>
#include <vector>

#include "models/config_view.h"

namespace continuo::models {

// `layer_types` (or another key), one of `known` a layer; empty where the config has none. Another
// count or name throws ConfigError.
std::vector<std::string> read_layer_types(const ConfigView& config, const Keys& keys,
                                          int64_t layers, const std::vector<std::string>& known);

// Every interval-th layer attends over all tokens ("full_attention"), the others are
// "linear_attention" (Qwen3-Next's full_attention_interval).
std::vector<std::string> every_nth_full(int64_t layers, int64_t interval);

}  // namespace continuo::models
