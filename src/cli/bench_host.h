#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/loaded_model.h"

namespace continuo::cli {

// Prints the host's part of a step of so many streams, with the model's tokenizer if it has one.
Status bench_host(const engine::LoadedModel& model, const std::vector<int64_t>& streams,
                  int64_t prompt, int64_t tokens);

}  // namespace continuo::cli
