#include "server/owned_json.h"

#include <vector>

#include "server/fields.h"

namespace continuo::server {
namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxKeys = 1024;

// In place, so that the owner of `target` also has what was copied before memory ran out.
void copy(const Json& source, Json& target) {
  if (source.is_array()) {
    target = Json::array();
    for (const Json& item : source) copy(item, target.emplace_back());
  } else if (source.is_object()) {
    target = Json::object();
    for (const auto& [key, value] : source.items()) copy(value, target[key]);
  } else {
    target = source;
  }
}

// nlohmann's "[json.exception.parse_error.101] parse error at line 1, column 9: reason", short.
std::string reason(const Json::exception& cause) {
  std::string_view text = cause.what();
  if (const size_t at = text.find("] "); at != text.npos) text.remove_prefix(at + 2);
  std::string out(text.substr(0, 200));
  for (char& c : out)
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return out;
}

// Builds the value in its owner's place. False from any of them ends the parsing.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(Json& root) : root_(root) {}
  const std::string& refusal() const { return refusal_; }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*size*/) override { return open(Json::object()); }
  bool start_array(std::size_t /*size*/) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    Json& object = *open_.back();
    member_ = &object[name];
    if (object.size() <= kMaxKeys) return true;
    return refuse(fmt::format("is no usable JSON: an object of more than {} keys", kMaxKeys));
  }
  bool parse_error(std::size_t /*byte*/, const std::string& /*token*/,
                   const Json::exception& cause) override {
    return refuse("is no JSON: " + reason(cause));
  }

 private:
  // Where the next value goes; what a key had before is taken apart.
  Json& place() {
    if (open_.empty()) return root_;
    if (open_.back()->is_array()) return open_.back()->emplace_back();
    take_apart(*member_);
    return *member_;
  }
  template <typename T>
  bool put(T&& value) {
    place() = std::forward<T>(value);
    return true;
  }
  bool open(Json&& empty) {
    if (open_.size() >= kMaxDepth)
      return refuse(fmt::format("is no usable JSON: nested deeper than {} levels", kMaxDepth));
    Json& here = place();
    here = std::move(empty);
    open_.push_back(&here);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  bool refuse(std::string why) {
    refusal_ = std::move(why);
    return false;
  }

  Json& root_;
  Json* member_ = nullptr;
  std::vector<Json*> open_;  // a container does not move while one in it is open
  std::string refusal_;
};

}  // namespace

// Recursive: parse_body has seen to the depth.
void take_apart(Json& value) noexcept {
  if (value.is_array()) {
    auto& items = value.get_ref<Json::array_t&>();
    for (; !items.empty(); items.pop_back()) take_apart(items.back());
  } else if (value.is_object()) {
    auto& members = value.get_ref<Json::object_t&>();
    for (; !members.empty(); members.pop_back()) take_apart(members.back().second);
  }
}

OwnedJson& OwnedJson::operator=(OwnedJson&& other) noexcept {
  if (this == &other) return *this;
  take_apart(value_);
  value_ = std::exchange(other.value_, nullptr);
  return *this;
}

OwnedJson::~OwnedJson() { take_apart(value_); }

OwnedJson OwnedJson::copy_of(const Json& value) {
  OwnedJson out;
  copy(value, out.value_);
  return out;
}

Result<OwnedJson> parse_body(std::string_view text) {
  OwnedJson body;
  Builder builder(*body);
  if (!Json::sax_parse(text, &builder))
    return error(ErrorCode::kInvalidArgument, "the body {}", builder.refusal());
  if (!body->is_object())
    return error(ErrorCode::kInvalidArgument, "the body: wanted a JSON object, got {}",
                 shown(*body));
  return body;
}

}  // namespace continuo::server
