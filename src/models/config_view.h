// ConfigView: typed, checked reading of a config.json. A key that is missing, of the wrong type or
// out of range throws ConfigError, which models::create turns into a Result: a family's
// constructor reads straight down.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace continuo::models {

class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One key, or spellings of it in order of preference: the first that is there and not null counts.
class Keys {
 public:
  Keys(const char* key) : names_{key} {}
  Keys(std::initializer_list<const char*> names) : names_(names) {}
  const std::vector<const char*>& names() const { return names_; }
  std::string describe() const;

 private:
  std::vector<const char*> names_;
};

// Borrows the JSON. Any thread.
class ConfigView {
 public:
  explicit ConfigView(const nlohmann::json& object, std::string where = "config.json");

  bool has(const Keys& keys) const;  // there and not null
  // A size: 1 .. 2^31 - 1. The second form gives `fallback` where the key is absent or null.
  int64_t size(const Keys& keys) const;
  int64_t size(const Keys& keys, int64_t fallback) const;
  // The size of an optional part: 0 where the part is absent, which 0 and null say as well.
  int64_t optional_size(const Keys& keys, int64_t fallback) const;
  // Any integer.
  int64_t integer(const Keys& keys, int64_t fallback) const;
  double number(const Keys& keys) const;
  double number(const Keys& keys, double fallback) const;
  // False where the key is null, as it is in Python; `fallback` where it is absent.
  bool flag(const Keys& keys, bool fallback) const;
  std::string text(const Keys& keys) const;
  std::string text(const Keys& keys, const std::string& fallback) const;
  bool is(const Keys& keys, const std::string& word) const;  // there, and that string
  std::vector<int64_t> integers(const Keys& keys) const;     // empty where absent
  std::vector<float> numbers(const Keys& keys) const;
  std::vector<std::string> strings(const Keys& keys) const;
  // The object under a key; an empty one where absent.
  ConfigView object(const Keys& keys) const;

  const nlohmann::json& raw() const { return *object_; }
  const std::string& where() const { return where_; }
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const nlohmann::json* find(const Keys& keys) const;
  bool is_null(const Keys& keys) const;  // there, and null in each spelling that is there
  const nlohmann::json& need(const Keys& keys, const char* wanted) const;
  const nlohmann::json* object_;
  std::string where_;
};

}  // namespace continuo::models
