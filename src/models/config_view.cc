#include "models/config_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace continuo::models {

using nlohmann::json;

namespace {

constexpr int64_t kLargest = (int64_t{1} << 31) - 1;  // what an i32 index reaches

std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

const json& empty_object() {
  static const json kEmpty = json::object();
  return kEmpty;
}

}  // namespace

std::string Keys::describe() const {
  std::string text;
  for (const char* name : names_)
    text += (text.empty() ? "\"" : " or \"") + std::string(name) + "\"";
  return text;
}

ConfigView::ConfigView(const json& object, std::string where)
    : object_(&object), where_(std::move(where)) {
  if (!object.is_object()) fail("wanted a JSON object, got " + shown(object));
}

void ConfigView::fail(const std::string& message) const {
  throw ConfigError(where_ + ": " + message);
}

const json* ConfigView::find(const Keys& keys) const {
  for (const char* name : keys.names()) {
    const auto place = object_->find(name);
    if (place != object_->end() && !place->is_null()) return &*place;
  }
  return nullptr;
}

const json& ConfigView::need(const Keys& keys, const char* wanted) const {
  const json* value = find(keys);
  if (value == nullptr) fail(fmt::format("{} is missing (wanted {})", keys.describe(), wanted));
  return *value;
}

bool ConfigView::has(const Keys& keys) const { return find(keys) != nullptr; }

bool ConfigView::is_null(const Keys& keys) const {
  const auto there = [this](const char* name) { return object_->contains(name); };
  return !has(keys) && std::any_of(keys.names().begin(), keys.names().end(), there);
}

int64_t ConfigView::size(const Keys& keys) const {
  const json& value = need(keys, "a positive integer");
  const bool whole =
      value.is_number_integer() ||
      (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()));
  const double number = whole ? value.get<double>() : 0;
  if (!whole || number < 1 || number > double(kLargest))
    fail(fmt::format("{}: wanted an integer from 1 to {}, got {}", keys.describe(), kLargest,
                     shown(value)));
  return static_cast<int64_t>(number);
}

int64_t ConfigView::size(const Keys& keys, int64_t fallback) const {
  return has(keys) ? size(keys) : fallback;
}

int64_t ConfigView::optional_size(const Keys& keys, int64_t fallback) const {
  if (const json* value = find(keys); value != nullptr)
    return value->is_number() && value->get<double>() == 0 ? 0 : size(keys);
  return is_null(keys) ? 0 : fallback;
}

int64_t ConfigView::integer(const Keys& keys, int64_t fallback) const {
  const json* value = find(keys);
  if (value == nullptr) return fallback;
  if (!value->is_number_integer() || std::abs(value->get<double>()) > double(kLargest))
    fail(fmt::format("{}: wanted an integer, got {}", keys.describe(), shown(*value)));
  return value->get<int64_t>();
}

double ConfigView::number(const Keys& keys) const {
  const json& value = need(keys, "a number");
  if (!value.is_number())
    fail(fmt::format("{}: wanted a number, got {}", keys.describe(), shown(value)));
  return value.get<double>();
}

double ConfigView::number(const Keys& keys, double fallback) const {
  return has(keys) ? number(keys) : fallback;
}

bool ConfigView::flag(const Keys& keys, bool fallback) const {
  const json* value = find(keys);
  if (value == nullptr) return !is_null(keys) && fallback;
  if (!value->is_boolean())
    fail(fmt::format("{}: wanted true or false, got {}", keys.describe(), shown(*value)));
  return value->get<bool>();
}

std::string ConfigView::text(const Keys& keys) const {
  const json& value = need(keys, "a string");
  if (!value.is_string())
    fail(fmt::format("{}: wanted a string, got {}", keys.describe(), shown(value)));
  return value.get<std::string>();
}

std::string ConfigView::text(const Keys& keys, const std::string& fallback) const {
  return has(keys) ? text(keys) : fallback;
}

bool ConfigView::is(const Keys& keys, const std::string& word) const {
  const json* value = find(keys);
  return value != nullptr && value->is_string() && value->get<std::string>() == word;
}

std::vector<int64_t> ConfigView::integers(const Keys& keys) const {
  std::vector<int64_t> numbers;
  const json* value = find(keys);
  if (value == nullptr) return numbers;
  if (!value->is_array())
    fail(fmt::format("{}: wanted a list, got {}", keys.describe(), shown(*value)));
  for (const json& each : *value) {
    if (!each.is_number_integer())
      fail(fmt::format("{}: wanted a list of integers, got {}", keys.describe(), shown(each)));
    numbers.push_back(each.get<int64_t>());
  }
  return numbers;
}

std::vector<float> ConfigView::numbers(const Keys& keys) const {
  std::vector<float> numbers;
  const json* value = find(keys);
  if (value == nullptr) return numbers;
  if (!value->is_array())
    fail(fmt::format("{}: wanted a list, got {}", keys.describe(), shown(*value)));
  for (const json& each : *value) {
    if (!each.is_number())
      fail(fmt::format("{}: wanted a list of numbers, got {}", keys.describe(), shown(each)));
    numbers.push_back(static_cast<float>(each.get<double>()));
  }
  return numbers;
}

std::vector<std::string> ConfigView::strings(const Keys& keys) const {
  std::vector<std::string> texts;
  const json* value = find(keys);
  if (value == nullptr) return texts;
  if (!value->is_array())
    fail(fmt::format("{}: wanted a list, got {}", keys.describe(), shown(*value)));
  for (const json& each : *value) {
    if (!each.is_string())
      fail(fmt::format("{}: wanted a list of strings, got {}", keys.describe(), shown(each)));
    texts.push_back(each.get<std::string>());
  }
  return texts;
}

ConfigView ConfigView::object(const Keys& keys) const {
  const json* value = find(keys);
  if (value == nullptr) return ConfigView(empty_object(), where_);
  if (!value->is_object())
    fail(fmt::format("{}: wanted an object, got {}", keys.describe(), shown(*value)));
  return ConfigView(*value, fmt::format("{}: {}", where_, keys.names()[0]));
}

}  // namespace continuo::models
