#include "server/api_error.h"

#include <algorithm>
#include <string_view>

namespace continuo::server {
namespace {

const char* type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 429:
      return "rate_limit_error";
    case 500:
      return "server_error";
    case 503:
      return "service_unavailable_error";
    default:
      return "invalid_request_error";
  }
}

// "messages[2].role" of "messages[2].role: wanted a string, got 5"; "" where it begins otherwise.
std::string field_of(std::string_view message) {
  const size_t end = message.find(": ");
  if (end == std::string_view::npos || end == 0) return "";
  const std::string_view field = message.substr(0, end);
  const bool plain = std::all_of(field.begin(), field.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '[' ||
           c == ']';
  });
  return plain ? std::string(field) : "";
}

}  // namespace

Json to_json(const ApiError& error) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  return {{"error",
           {{"message", error.message},
            {"type", type_of(error.status)},
            {"param", or_null(error.param)},
            {"code", or_null(error.code)}}}};
}

ApiError api_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
      return {400, error.message, error.code == ErrorCode::kUnsupported ? "unsupported" : "",
              field_of(error.message)};
    case ErrorCode::kNotFound:
      return {404, error.message, "not_found", field_of(error.message)};
    case ErrorCode::kResourceExhausted:
      return {429, error.message, "queue_full", "", 1};
    case ErrorCode::kUnavailable:
    case ErrorCode::kCancelled:
      return {503, error.message, "unavailable", "", 5};
    default:
      return {500, error.message, "internal_error"};
  }
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace continuo::server
