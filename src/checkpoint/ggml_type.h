// ggml's element types: ids, block sizes and which of them this build reads.
// Source: gguf-py/gguf/constants.py (GGMLQuantizationType, GGML_QUANT_SIZES).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "checkpoint/tensor_source.h"

namespace continuo::checkpoint {

enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
  kMXFP4 = 39,
};

// A row of `block` elements takes `bytes` bytes; a plain type has block 1.
struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;
  int64_t block;
  int64_t bytes;
  Encoding encoding;
  DType dtype;  // of a plain type; kF32 otherwise
};

// nullptr for a type that this build cannot read.
const GgmlTypeInfo* find_ggml_type(uint32_t id);
const GgmlTypeInfo& info(GgmlType type);
// ggml's name of any id, readable or not: "IQ2_XXS", "type 77".
std::string ggml_type_name(uint32_t id);

}  // namespace continuo::checkpoint
