// GGUF v2 and v3, little endian: metadata and tensor table of one file. Format:
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/shape.h"
#include "checkpoint/ggml_type.h"

namespace continuo::checkpoint {

struct GgufTensor {
  std::string name;
  GgmlType type = GgmlType::kF32;
  Shape shape;          // row-major: ggml's ne reversed, innermost last
  uint64_t offset = 0;  // from the file's first byte
  uint64_t bytes = 0;
  size_t part = 0;  // which file of a split checkpoint
};

struct GgufFile {
  uint32_t version = 0;
  uint64_t alignment = 32;
  nlohmann::json metadata;          // an object: every key with its value
  std::vector<GgufTensor> tensors;  // as the file lists them

  // nullptr where there is none.
  const nlohmann::json* find(std::string_view key) const;
};

// Parses the header of a whole file's bytes; `where` names the file in errors. Every size is
// checked against the bytes left, every tensor lies inside the file and overlaps no other.
Result<GgufFile> parse_gguf(std::span<const std::byte> bytes, const std::string& where);

}  // namespace continuo::checkpoint
