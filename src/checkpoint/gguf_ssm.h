// What the architectures with a Mamba-2 mixer have in common.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/gguf_metadata.h"

namespace continuo::checkpoint {

// A choice of the implementation, not of the model; transformers' default.
inline constexpr int64_t kSsmChunk = 256;

struct SsmHeads {
  int64_t count = 1, dim = 1, groups = 1;
};
SsmHeads ssm_heads(GgufMetadata& metadata);
// [0, infinity]: GGUF has no limit.
nlohmann::json no_time_step_limit();
// The keys mamba_* of Falcon-H1, Bamba and Granite.
void mamba2_mixer_config(GgufMetadata& metadata, nlohmann::json& config);

}  // namespace continuo::checkpoint
