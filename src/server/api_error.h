// Errors as OpenAI's clients expect them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace continuo::server {

// In the order of the request or, for an answer, in the order written.
using Json = nlohmann::ordered_json;

// {"error": {"message", "type", "param", "code"}} with an HTTP status.
struct ApiError {
  int status = 500;
  std::string message;
  std::string code;       // "model_not_found" ...; "" = null
  std::string param;      // the field at fault; "" = null
  int retry_after_s = 0;  // > 0: the header Retry-After
};
Json to_json(const ApiError& error);

// kInvalidArgument and kUnsupported are 400, kResourceExhausted 429, kUnavailable and kCancelled
// 503, the rest 500. A message that begins "field: " names the field at fault.
ApiError api_error(const Error& error);

// A JSON text of any JSON value; bytes that are no UTF-8 become U+FFFD.
std::string dump(const Json& json);

}  // namespace continuo::server
