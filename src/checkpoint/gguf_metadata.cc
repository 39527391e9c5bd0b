#include "checkpoint/gguf_metadata.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "checkpoint/gguf_dequant.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

constexpr int64_t kMaxLayers = 100000;
constexpr int64_t kMaxValues = 65536;

}  // namespace

double shortest_decimal(float value) {
  if (!std::isfinite(value)) return double{value};
  char text[64];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  double result = 0;
  std::from_chars(text, end, result);
  return result;
}

GgufMetadata::GgufMetadata(const GgufFile& file, std::span<const std::span<const std::byte>> parts)
    : file_(file), parts_(parts) {
  for (const GgufTensor& tensor : file.tensors) tensors_.emplace(tensor.name, &tensor);
  const json* name = file.find("general.architecture");
  if (name == nullptr || !name->is_string()) {
    fail("metadata has no general.architecture");
    return;
  }
  architecture_ = name->get<std::string>();
  layers_ = positive("block_count") - integer("nextn_predict_layers", 0);
  if (layers_ < 1 || layers_ > kMaxLayers) {
    fail(fmt::format("metadata names {} layers, wanted 1 to {}", layers_, kMaxLayers));
    layers_ = 1;
  }
}

void GgufMetadata::fail(std::string message) {
  if (status_.ok()) status_ = Error{ErrorCode::kCorrupt, std::move(message)};
}

const json* GgufMetadata::find(std::string_view key) const {
  return file_.find(architecture_ + "." + std::string(key));
}

int64_t GgufMetadata::checked(const json& value, std::string_view key) {
  const bool in_range = value.is_number_unsigned()
                            ? value.get<uint64_t>() <= uint64_t{std::numeric_limits<int32_t>::max()}
                            : value.is_number_integer() && value.get<int64_t>() >= 0 &&
                                  value.get<int64_t>() <= std::numeric_limits<int32_t>::max();
  if (in_range) return value.get<int64_t>();
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  fail(fmt::format("metadata '{}.{}' is not a count below 2^31", architecture_, key));
  return 0;
}

int64_t GgufMetadata::integer(std::string_view key) {
  if (!has(key)) fail(fmt::format("metadata lacks '{}.{}'", architecture_, key));
  return integer(key, 0);
}

int64_t GgufMetadata::integer(std::string_view key, int64_t fallback) {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_array()) return checked(*value, key);
  int64_t largest = 0;
  for (const json& element : *value) largest = std::max(largest, checked(element, key));
  return largest;
}

int64_t GgufMetadata::positive(std::string_view key) {
  const int64_t value = integer(key);
  if (value > 0) return value;
  fail(fmt::format("metadata '{}.{}' is 0", architecture_, key));
  return 1;
}

double GgufMetadata::number(std::string_view key) {
  if (!has(key)) fail(fmt::format("metadata lacks '{}.{}'", architecture_, key));
  return number(key, 0);
}

double GgufMetadata::number(std::string_view key, double fallback) {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) {
    fail(fmt::format("metadata '{}.{}' is not a number", architecture_, key));
    return fallback;
  }
  const double wide = value->get<double>();
  const bool fits = std::abs(wide) <= double{std::numeric_limits<float>::max()};
  if (!fits) return wide;
  const float narrow = static_cast<float>(wide);
  return double{narrow} == wide ? shortest_decimal(narrow) : wide;
}

bool GgufMetadata::boolean(std::string_view key, bool fallback) {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  fail(fmt::format("metadata '{}.{}' is not a boolean", architecture_, key));
  return fallback;
}

std::string GgufMetadata::text(std::string_view key, std::string_view fallback) {
  const json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (value->is_string()) return value->get<std::string>();
  fail(fmt::format("metadata '{}.{}' is not a string", architecture_, key));
  return std::string(fallback);
}

std::vector<int64_t> GgufMetadata::per_layer(std::string_view key, int64_t fallback) {
  const auto count = static_cast<size_t>(layers_);
  const json* value = find(key);
  if (value == nullptr) return std::vector<int64_t>(count, fallback);
  if (!value->is_array()) return std::vector<int64_t>(count, checked(*value, key));
  std::vector<int64_t> values(count, fallback);
  if (value->size() < count) {
    fail(fmt::format("metadata '{}.{}' has {} values for {} layers", architecture_, key,
                     value->size(), count));
    return values;
  }
  for (size_t i = 0; i < count; ++i) values[i] = checked((*value)[i], key);
  return values;
}

const GgufTensor* GgufMetadata::tensor(std::string_view name) const {
  const auto place = tensors_.find(name);
  return place == tensors_.end() ? nullptr : place->second;
}

const GgufTensor* GgufMetadata::layer_tensor(int64_t layer, std::string_view suffix) const {
  return tensor(fmt::format("blk.{}.{}", layer, suffix));
}

bool GgufMetadata::any_layer_has(std::string_view suffix) const {
  for (int64_t layer = 0; layer < layers_; ++layer) {
    if (layer_tensor(layer, suffix) != nullptr) return true;
  }
  return false;
}

std::vector<float> GgufMetadata::values(std::string_view name) {
  const GgufTensor* found = tensor(name);
  if (found == nullptr) return {};
  if (found->shape.elements() > kMaxValues) {
    fail(fmt::format("tensor '{}' has {} values, wanted up to {}", name, found->shape.elements(),
                     kMaxValues));
    return {};
  }
  std::vector<float> result(static_cast<size_t>(found->shape.elements()));
  dequantize(found->type, parts_[found->part].data() + found->offset, result.size(), result.data());
  return result;
}

int64_t GgufMetadata::vocab_size() {
  const GgufTensor* embedding = tensor("token_embd.weight");
  if (embedding != nullptr && embedding->shape.rank() == 2) return embedding->shape[0];
  fail("there is no tensor 'token_embd.weight' of rank 2");
  return 1;
}

}  // namespace continuo::checkpoint
