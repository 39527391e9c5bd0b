// What a user should know about a context beyond the length that a model was trained for.
#pragma once

#include <cstdint>
#include <string>

#include "models/model.h"

namespace continuo::engine {

// "" where the context is within the trained length, or the config gives none.
std::string context_warning(const models::Facts& facts, int64_t context);

}  // namespace continuo::engine
