// Typed access to a GGUF's metadata for the configuration: keys under "<architecture>.".
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "checkpoint/gguf_file.h"

namespace continuo::checkpoint {

// Borrows the file. The first missing or absurd value is remembered, so that a configuration is
// written without a check at every line: status() tells at the end.
class GgufMetadata {
 public:
  // `parts`: the bytes of each file of the checkpoint.
  GgufMetadata(const GgufFile& file, std::span<const std::span<const std::byte>> parts);

  const std::string& architecture() const { return architecture_; }
  // Layers of the model itself, without those for multi-token prediction.
  int64_t layers() const { return layers_; }

  bool has(std::string_view key) const { return find(key) != nullptr; }
  // An integer in [0, 2^31); of an array, its largest.
  int64_t integer(std::string_view key);
  int64_t integer(std::string_view key, int64_t fallback);
  // As integer(), but 0 is refused as well: it can be divided by.
  int64_t positive(std::string_view key);
  // A float32 as the shortest decimal that gives it back: 1e-06, not 9.99999997e-07.
  double number(std::string_view key);
  double number(std::string_view key, double fallback);
  bool boolean(std::string_view key, bool fallback);
  std::string text(std::string_view key, std::string_view fallback);
  // One value a layer: an array of at least layers() integers or booleans, or one for all.
  std::vector<int64_t> per_layer(std::string_view key, int64_t fallback);

  // nullptr where there is none.
  const GgufTensor* tensor(std::string_view name) const;
  const GgufTensor* layer_tensor(int64_t layer, std::string_view suffix) const;
  // Whether any layer has the tensor.
  bool any_layer_has(std::string_view suffix) const;
  // The values of a small tensor outside the layers (RoPE factors); empty where there is none.
  std::vector<float> values(std::string_view name);
  // Rows of the token embedding.
  int64_t vocab_size();

  const GgufFile& file() const { return file_; }
  void fail(std::string message);
  const Status& status() const { return status_; }

 private:
  const nlohmann::json* find(std::string_view key) const;
  int64_t checked(const nlohmann::json& value, std::string_view key);

  const GgufFile& file_;
  std::span<const std::span<const std::byte>> parts_;
  std::string architecture_;
  int64_t layers_ = 0;
  std::unordered_map<std::string_view, const GgufTensor*> tensors_;
  Status status_;
};

// The shortest decimal that reads back as the same float32, as a double.
double shortest_decimal(float value);

}  // namespace continuo::checkpoint
