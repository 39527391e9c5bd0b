#include "runtime/signature.h"

#include <charconv>
#include <limits>
#include <string_view>

namespace continuo::runtime {
namespace {

Error unreadable(std::string_view what, std::string_view where) {
  return error(ErrorCode::kInvalidArgument, "signature of @main: {}, at \"{}\"", what,
               where.substr(0, 60));
}

// Reads the declaration from left to right.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::string_view rest() const { return text_.substr(at_); }
  size_t position() const { return at_; }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }
  bool accept(std::string_view token) {
    skip_space();
    if (!rest().starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  std::string_view until(std::string_view stops) {
    skip_space();
    const size_t end = std::min(text_.find_first_of(stops, at_), text_.size());
    const std::string_view taken = text_.substr(at_, end - at_);
    at_ = end;
    return taken;
  }

  // Takes "{...}" with whatever nests inside; quoted strings may hold any character.
  Result<std::string_view> attributes() {
    const size_t start = at_;
    int depth = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_)
          if (text_[at_] == '\\') ++at_;
      } else if (c == '{') {
        ++depth;
      } else if (c == '}' && --depth == 0) {
        ++at_;
        return text_.substr(start, at_ - start);
      }
    }
    return unreadable("attributes without an end", text_.substr(start));
  }

  Result<ArrayType> type();

 private:
  std::string_view text_;
  size_t at_ = 0;
};

// "tensor<2x3xf32>", "tensor<f32>", "tensor<2xf32, #encoding>"
Result<ArrayType> Reader::type() {
  const std::string_view start = rest();
  if (!accept("tensor<")) return unreadable("wanted a tensor type", start);
  ArrayType type;
  std::vector<int64_t> dims;
  int64_t elements = 1;
  while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
    int64_t dim = 0;
    const char* end = text_.data() + text_.size();
    const auto [next, failure] = std::from_chars(text_.data() + at_, end, dim);
    if (failure != std::errc() || next == end || *next != 'x')
      return unreadable("wanted a size followed by x", start);
    if (__builtin_mul_overflow(elements, std::max<int64_t>(dim, 1), &elements) ||
        elements > std::numeric_limits<int64_t>::max() / 8)
      return unreadable("more elements than an address holds", start);
    dims.push_back(dim);
    at_ = static_cast<size_t>(next - text_.data()) + 1;
  }
  const std::string_view element = until(",>");
  const auto dtype = dtype_from_name(element);
  if (!dtype)
    return unreadable(fmt::format("element type {} is not one this engine has", element), start);
  until(">");
  if (!accept(">")) return unreadable("tensor type without an end", start);
  return ArrayType{*dtype, Shape(std::move(dims))};
}

// Whether `attributes` names `key` outside of a quoted string.
bool has_attribute(std::string_view attributes, std::string_view key) {
  bool quoted = false;
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (quoted && attributes[i] == '\\') {
      ++i;
    } else if (attributes[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && attributes.substr(i).starts_with(key)) {
      return true;
    }
  }
  return false;
}

Status read_arguments(Reader& reader, Signature& signature) {
  if (!reader.accept("(")) return unreadable("wanted (", reader.rest());
  if (reader.accept(")")) return {};
  do {
    Argument argument;
    argument.name = std::string(reader.until(":,)> \n"));
    if (!reader.accept(":")) return unreadable("wanted %name: type", reader.rest());
    reader.skip_space();
    CONTINUO_TRY(argument.type, reader.type());
    reader.skip_space();
    if (reader.rest().starts_with("{")) {
      CONTINUO_TRY(const std::string_view attributes, reader.attributes());
      argument.donated = has_attribute(attributes, "tf.aliasing_output") ||
                         has_attribute(attributes, "jax.buffer_donor = true");
    }
    signature.arguments.push_back(std::move(argument));
  } while (reader.accept(","));
  if (!reader.accept(")")) return unreadable("wanted , or ) after an argument", reader.rest());
  return {};
}

Status read_outputs(Reader& reader, Signature& signature) {
  if (!reader.accept("->")) return {};
  const bool list = reader.accept("(");
  if (list && reader.accept(")")) return {};
  do {
    reader.skip_space();
    CONTINUO_TRY(ArrayType type, reader.type());
    signature.outputs.push_back(std::move(type));
    reader.skip_space();
    if (list && reader.rest().starts_with("{")) CONTINUO_RETURN_IF_ERROR(reader.attributes());
  } while (list && reader.accept(","));
  if (list && !reader.accept(")")) return unreadable("wanted , or ) after a result", reader.rest());
  return {};
}

}  // namespace

std::string ArrayType::str() const { return fmt::format("{}{}", name(dtype), shape.str()); }

Result<Signature> parse_signature(const std::string& stablehlo) {
  const std::string_view text = stablehlo;
  for (size_t at = text.find("func.func"); at != text.npos; at = text.find("func.func", at + 1)) {
    Reader reader(text.substr(at));
    reader.accept("func.func");
    reader.accept("public");
    if (!reader.accept("@main")) continue;
    Signature signature;
    CONTINUO_RETURN_IF_ERROR(read_arguments(reader, signature));
    CONTINUO_RETURN_IF_ERROR(read_outputs(reader, signature));
    signature.text = std::string(text.substr(at, reader.position()));
    return signature;
  }
  return error(ErrorCode::kInvalidArgument, "the module has no function func.func @main");
}

}  // namespace continuo::runtime
