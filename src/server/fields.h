// A request's body: JSON with limits, and its members with their types.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/api_error.h"

namespace continuo::server {

// How a message shows a value that was not wanted: its beginning.
std::string shown(const Json& value);

constexpr size_t kNoBound = std::numeric_limits<size_t>::max();

// Members of an object by name; absent and null are the same. The first wrong one is remembered,
// "stream_options.include_usage: wanted true or false, got 5", and status() is it.
class Fields {
 public:
  // `object` outlives this; `path` is "" or what leads to it: "messages[2]."
  explicit Fields(const Json& object, std::string path = "") : object_(object), path_(path) {}

  // nullptr: absent or null.
  const Json* find(const char* name) const;
  std::optional<bool> boolean(const char* name);
  // Also as 5.0; a value out of range is wrong.
  std::optional<int64_t> integer(const char* name, int64_t least, int64_t most);
  std::optional<double> number(const char* name);
  std::optional<std::string> string(const char* name, size_t most_bytes = kNoBound);
  // A string or a list of at most `most` of them, none empty or longer than `most_bytes`; empty
  // where absent.
  std::vector<std::string> strings(const char* name, size_t most, size_t most_bytes);
  // At most `most` ids below `vocab`.
  std::optional<std::vector<int32_t>> token_ids(const char* name, int64_t vocab,
                                                size_t most = kNoBound);
  // Wrong where a list or an object has more than `most` members.
  void bound(const char* name, size_t most, const char* members);
  // Wrong unless absent, null or equal to one of `harmless`.
  void refuse(const char* name, std::initializer_list<Json> harmless, const char* reason);

  void fail(const std::string& name, const std::string& wanted, const Json& got);
  void fail(Error error);
  Status status() const { return error_ ? Status(*error_) : ok_status(); }
  bool ok() const { return !error_; }

 private:
  const Json& object_;
  std::string path_;
  std::optional<Error> error_;
};

// [5, 7] with ids below `vocab`; `name` is what an error calls it.
Result<std::vector<int32_t>> token_ids(const Json& array, const std::string& name, int64_t vocab);

}  // namespace continuo::server
