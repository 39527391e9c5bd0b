// OwnedJson: JSON of a client's making, which may be large, taken apart without needing memory.
#pragma once

#include <string_view>
#include <utility>

#include "base/result.h"
#include "server/api_error.h"

namespace continuo::server {

// Leaves an array or object empty, so that destroying or replacing it needs no memory.
void take_apart(Json& value) noexcept;

// nlohmann's destructor collects a container's members in a new vector, and ends the process where
// there is no memory for it. This one's finds every container empty.
class OwnedJson {
 public:
  OwnedJson() = default;
  explicit OwnedJson(Json value) : value_(std::move(value)) {}
  OwnedJson(OwnedJson&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  OwnedJson& operator=(OwnedJson&& other) noexcept;
  ~OwnedJson();

  static OwnedJson copy_of(const Json& value);

  Json& operator*() { return value_; }
  const Json& operator*() const { return value_; }
  Json* operator->() { return &value_; }
  const Json* operator->() const { return &value_; }
  Json release() { return std::exchange(value_, nullptr); }

 private:
  Json value_;
};

// One JSON object. kInvalidArgument says where it ends to be one: syntax, UTF-8, a number out of
// range, nesting over 64 levels, an object of more than 1024 keys (keeping their order costs time
// that grows with the square).
Result<OwnedJson> parse_body(std::string_view text);

}  // namespace continuo::server
