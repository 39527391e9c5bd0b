// Bodies of /tokenize and /detokenize and what answers them, in vLLM's shapes.
#pragma once

#include <string_view>
#include <variant>

#include "server/api_error.h"
#include "server/served_model.h"

namespace continuo::server {

// A body as it came. What is wrong has a status of 400 to 499, unless it is our fault.
// `stop` is asked while a text is encoded.
std::variant<Json, ApiError> answer_tokenize(std::string_view body, const ServedModel& model,
                                             const text::Stop* stop = nullptr);
std::variant<Json, ApiError> answer_detokenize(std::string_view body, const ServedModel& model,
                                               const text::Stop* stop = nullptr);

}  // namespace continuo::server
