#include "checkpoint/ggml_type.h"

#include <fmt/format.h>

#include <array>

namespace continuo::checkpoint {
namespace {

constexpr DType kNone = DType::kF32;
constexpr std::array kTypes = {
    GgmlTypeInfo{GgmlType::kF32, "F32", 1, 4, Encoding::kPlain, DType::kF32},
    GgmlTypeInfo{GgmlType::kF16, "F16", 1, 2, Encoding::kPlain, DType::kF16},
    GgmlTypeInfo{GgmlType::kQ4_0, "Q4_0", 32, 18, Encoding::kQ4_0, kNone},
    GgmlTypeInfo{GgmlType::kQ4_1, "Q4_1", 32, 20, Encoding::kQ4_1, kNone},
    GgmlTypeInfo{GgmlType::kQ5_0, "Q5_0", 32, 22, Encoding::kQ5_0, kNone},
    GgmlTypeInfo{GgmlType::kQ5_1, "Q5_1", 32, 24, Encoding::kQ5_1, kNone},
    GgmlTypeInfo{GgmlType::kQ8_0, "Q8_0", 32, 34, Encoding::kQ8_0, kNone},
    GgmlTypeInfo{GgmlType::kQ2_K, "Q2_K", 256, 84, Encoding::kQ2_K, kNone},
    GgmlTypeInfo{GgmlType::kQ3_K, "Q3_K", 256, 110, Encoding::kQ3_K, kNone},
    GgmlTypeInfo{GgmlType::kQ4_K, "Q4_K", 256, 144, Encoding::kQ4_K, kNone},
    GgmlTypeInfo{GgmlType::kQ5_K, "Q5_K", 256, 176, Encoding::kQ5_K, kNone},
    GgmlTypeInfo{GgmlType::kQ6_K, "Q6_K", 256, 210, Encoding::kQ6_K, kNone},
    GgmlTypeInfo{GgmlType::kIQ4_NL, "IQ4_NL", 32, 18, Encoding::kIQ4_NL, kNone},
    GgmlTypeInfo{GgmlType::kIQ4_XS, "IQ4_XS", 256, 136, Encoding::kIQ4_XS, kNone},
    GgmlTypeInfo{GgmlType::kBF16, "BF16", 1, 2, Encoding::kPlain, DType::kBF16},
    GgmlTypeInfo{GgmlType::kMXFP4, "MXFP4", 32, 17, Encoding::kMXFP4, kNone},
};

struct Unread {
  uint32_t id;
  std::string_view name;
};
constexpr std::array kUnread = {
    Unread{9, "Q8_1"},     Unread{15, "Q8_K"},  Unread{16, "IQ2_XXS"}, Unread{17, "IQ2_XS"},
    Unread{18, "IQ3_XXS"}, Unread{19, "IQ1_S"}, Unread{21, "IQ3_S"},   Unread{22, "IQ2_S"},
    Unread{24, "I8"},      Unread{25, "I16"},   Unread{26, "I32"},     Unread{27, "I64"},
    Unread{28, "F64"},     Unread{29, "IQ1_M"}, Unread{34, "TQ1_0"},   Unread{35, "TQ2_0"},
    Unread{40, "NVFP4"},
};

}  // namespace

const GgmlTypeInfo* find_ggml_type(uint32_t id) {
  for (const GgmlTypeInfo& type : kTypes) {
    if (static_cast<uint32_t>(type.type) == id) return &type;
  }
  return nullptr;
}

const GgmlTypeInfo& info(GgmlType type) { return *find_ggml_type(static_cast<uint32_t>(type)); }

std::string ggml_type_name(uint32_t id) {
  if (const GgmlTypeInfo* type = find_ggml_type(id)) return std::string(type->name);
  for (const Unread& type : kUnread) {
    if (type.id == id) return std::string(type.name);
  }
  return fmt::format("type {}", id);
}

}  // namespace continuo::checkpoint
