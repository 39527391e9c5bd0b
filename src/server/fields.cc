#include "server/fields.h"

#include <algorithm>
#include <cmath>

namespace continuo::server {
namespace {

std::optional<int64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return static_cast<int64_t>(number);
    return std::nullopt;
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (std::trunc(number) != number || std::fabs(number) > 9e15) return std::nullopt;
  return static_cast<int64_t>(number);
}

Error too_long(const std::string& path, size_t most, size_t got) {
  return error(ErrorCode::kInvalidArgument, "{}: wanted at most {} bytes, got {}", path, most, got);
}

Error too_many(const std::string& path, const char* members, size_t most, size_t got) {
  return error(ErrorCode::kInvalidArgument, "{}: wanted at most {} {}, got {}", path, most, members,
               got);
}

}  // namespace

std::string shown(const Json& value) {
  constexpr size_t kLongest = 40;
  if (value.is_object()) return value.empty() ? "{}" : "an object";
  if (value.is_array()) return value.empty() ? "[]" : "a list";
  std::string text = dump(value);
  if (text.size() <= kLongest) return text;
  size_t cut = kLongest;  // not inside a character
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return text.substr(0, cut) + "...";
}

const Json* Fields::find(const char* name) const {
  const auto member = object_.find(name);
  return member == object_.end() || member->is_null() ? nullptr : &*member;
}

std::optional<bool> Fields::boolean(const char* name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  fail(name, "true or false", *value);
  return std::nullopt;
}

std::optional<int64_t> Fields::integer(const char* name, int64_t least, int64_t most) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number = whole_number(*value);
  if (number && *number >= least && *number <= most) return number;
  constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
  fail(name,
       most == kNoLimit ? fmt::format("an integer of at least {}", least)
                        : fmt::format("an integer from {} to {}", least, most),
       *value);
  return std::nullopt;
}

std::optional<double> Fields::number(const char* name) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) return value->get<double>();
  fail(name, "a number", *value);
  return std::nullopt;
}

std::optional<std::string> Fields::string(const char* name, size_t most_bytes) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    fail(name, "a string", *value);
    return std::nullopt;
  }
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() <= most_bytes) return text;
  fail(too_long(path_ + name, most_bytes, text.size()));
  return std::nullopt;
}

std::vector<std::string> Fields::strings(const char* name, size_t most, size_t most_bytes) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  const std::string path = path_ + name;
  std::vector<std::string> out;
  const auto add = [&](const Json& each, const std::string& which) {
    if (!each.is_string()) {
      fail(error(ErrorCode::kInvalidArgument, "{}: wanted a string, got {}", which, shown(each)));
      return;
    }
    const auto& text = each.get_ref<const std::string&>();
    if (text.empty())
      fail(error(ErrorCode::kInvalidArgument, "{}: wanted a string that is not empty", which));
    else if (text.size() > most_bytes)
      fail(too_long(which, most_bytes, text.size()));
    else
      out.push_back(text);
  };
  if (value->is_string()) {
    add(*value, path);
  } else if (!value->is_array()) {
    fail(name, "a string or a list of strings", *value);
  } else if (value->size() > most) {
    fail(too_many(path, "strings", most, value->size()));
  } else {
    for (size_t i = 0; i < value->size() && ok(); ++i)
      add((*value)[i], fmt::format("{}[{}]", path, i));
  }
  return out;
}

void Fields::bound(const char* name, size_t most, const char* members) {
  const Json* value = find(name);
  if (value != nullptr && (value->is_array() || value->is_object()) && value->size() > most)
    fail(too_many(path_ + name, members, most, value->size()));
}

std::optional<std::vector<int32_t>> Fields::token_ids(const char* name, int64_t vocab,
                                                      size_t most) {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  bound(name, most, "token ids");
  if (!ok()) return std::nullopt;
  auto ids = server::token_ids(*value, path_ + name, vocab);
  if (ids.ok()) return std::move(ids).value();
  fail(ids.error());
  return std::nullopt;
}

void Fields::refuse(const char* name, std::initializer_list<Json> harmless, const char* reason) {
  const Json* value = find(name);
  if (value == nullptr || std::find(harmless.begin(), harmless.end(), *value) != harmless.end())
    return;
  fail(error(ErrorCode::kUnsupported, "{}{}: {}", path_, name, reason));
}

void Fields::fail(const std::string& name, const std::string& wanted, const Json& got) {
  fail(error(ErrorCode::kInvalidArgument, "{}{}: wanted {}, got {}", path_, name, wanted,
             shown(got)));
}

void Fields::fail(Error error) {
  if (!error_) error_ = std::move(error);
}

Result<std::vector<int32_t>> token_ids(const Json& array, const std::string& name, int64_t vocab) {
  if (!array.is_array())
    return error(ErrorCode::kInvalidArgument, "{}: wanted a list of token ids, got {}", name,
                 shown(array));
  std::vector<int32_t> ids;
  ids.reserve(array.size());
  for (const Json& value : array) {
    const std::optional<int64_t> id = whole_number(value);
    if (!id || *id < 0 || *id >= vocab)
      return error(ErrorCode::kInvalidArgument, "{}[{}]: wanted a token id below {}, got {}", name,
                   ids.size(), vocab, shown(value));
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

}  // namespace continuo::server
