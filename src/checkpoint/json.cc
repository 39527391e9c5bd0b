#include "checkpoint/json.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

std::optional<double> non_finite(std::string_view word) {
  if (word == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (word == "Infinity") return std::numeric_limits<double>::infinity();
  if (word == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

// JSON proper has no word for these values, so bare ones are spelled {"__float__": "NaN"} before
// parsing. `shifts` maps a byte of the new text back to the old one for error messages.
struct Respelled {
  std::string text;
  struct Shift {
    size_t end;    // in the new text
    size_t added;  // bytes more than in the old text, so far
  };
  std::vector<Shift> shifts;

  size_t original(size_t byte) const {
    size_t added = 0;
    for (const Shift& shift : shifts) {
      if (shift.end >= byte) break;
      added = shift.added;
    }
    return byte - std::min(added, byte);
  }
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The end of the string literal whose opening quote is at `begin`.
size_t string_end(std::string_view text, size_t begin) {
  size_t i = begin + 1;
  while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

// Brackets are counted here, where the byte is known, so that nesting is refused before it is
// built.
Result<Respelled> respell(std::string_view text, const std::string& where, int max_depth) {
  Respelled out;
  out.text.reserve(text.size());
  int depth = 0;
  size_t i = 0;
  while (i < text.size()) {
    size_t end = i + 1;
    if (text[i] == '{' || text[i] == '[') {
      if (++depth > max_depth)
        return error(ErrorCode::kCorrupt,
                     "{}: invalid JSON at byte {}: nested deeper than {} levels", where, end,
                     max_depth);
    } else if (text[i] == '}' || text[i] == ']') {
      --depth;
    } else if (text[i] == '"') {
      end = string_end(text, i);
    } else if (is_letter(text[i]) || text[i] == '-') {
      while (end < text.size() && is_letter(text[end])) ++end;
    }
    const std::string_view token = text.substr(i, end - i);
    if (non_finite(token)) {
      out.text.append("{\"__float__\":\"").append(token).append("\"}");
      out.shifts.push_back({out.text.size(), out.text.size() - end});
    } else {
      out.text.append(token);
    }
    i = end;
  }
  return out;
}

// nlohmann's words for a syntax error, short and in ASCII whatever the file holds:
// "[json.exception.parse_error.101] parse error at line 1, column 9: <the reason>".
std::string reason(const json::exception& cause) {
  constexpr size_t kLongest = 200;
  std::string_view text = cause.what();
  for (const char* lead : {"] ", ": "}) {
    const size_t at = text.find(lead);
    if (at != std::string_view::npos) text.remove_prefix(at + 2);
  }
  std::string out(text.substr(0, kLongest));
  for (char& c : out)
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return text.size() > kLongest ? out + "..." : out;
}

// Builds the value without recursion.
class Builder : public nlohmann::json_sax<json> {
 public:
  explicit Builder(bool unique_keys) : unique_keys_(unique_keys) {}

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override { return open(json::object()); }
  bool end_object() override {
    json& object = *open_.back();
    open_.pop_back();
    if (object.size() == 1 && object.begin().key() == "__float__" && object.begin()->is_string()) {
      if (auto value = non_finite(object.begin()->get_ref<const std::string&>())) object = *value;
    }
    return true;
  }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool key(string_t& value) override {
    auto [place, inserted] = open_.back()->get_ref<json::object_t&>().try_emplace(value, nullptr);
    if (!inserted && unique_keys_) {
      refusal_ = fmt::format("the key \"{}\" is given twice", value.substr(0, 200));
      return false;
    }
    member_ = &place->second;
    return true;
  }
  bool parse_error(std::size_t byte, const std::string&, const json::exception& cause) override {
    byte_ = byte;
    refusal_ = reason(cause);
    return false;
  }

  json take() { return std::move(root_); }
  const std::string& refusal() const { return refusal_; }
  size_t byte() const { return byte_; }

 private:
  json* place(json&& value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    return &(*member_ = std::move(value));
  }
  template <typename T>
  bool put(T&& value) {
    place(json(std::forward<T>(value)));
    return true;
  }
  bool open(json&& container) {
    open_.push_back(place(std::move(container)));
    return true;
  }

  bool unique_keys_;
  json root_;
  std::vector<json*> open_;  // containers not yet closed; each stays put while it is open
  json* member_ = nullptr;   // where the value after the last key goes
  std::string refusal_;
  size_t byte_ = 0;
};

}  // namespace

Result<json> parse_json(std::string_view text, const std::string& where,
                        const JsonOptions& options) {
  CONTINUO_TRY(const Respelled respelled, respell(text, where, options.max_depth));
  Builder builder(options.unique_keys);
  if (json::sax_parse(respelled.text, &builder)) return builder.take();
  if (builder.byte() == 0)
    return error(ErrorCode::kCorrupt, "{}: invalid JSON: {}", where, builder.refusal());
  return error(ErrorCode::kCorrupt, "{}: invalid JSON at byte {} of {}: {}", where,
               respelled.original(builder.byte()), text.size(), builder.refusal());
}

}  // namespace continuo::checkpoint
