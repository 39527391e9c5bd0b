// Element types of host and device arrays.
#pragma once

#include <fmt/format.h>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace continuo {

enum class DType : uint8_t {
  kPred,
  kI8,
  kU8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kF16,
  kBF16,
  kF32,
  kF64
};

size_t byte_size(DType dtype);
// StableHLO's spelling: "i1", "ui8", "bf16", "f32", ...
std::string_view name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);
bool is_float(DType dtype);
bool is_integer(DType dtype);  // signed or unsigned; not kPred

}  // namespace continuo

template <>
struct fmt::formatter<continuo::DType> : fmt::formatter<std::string_view> {
  auto format(continuo::DType dtype, fmt::format_context& context) const {
    return fmt::formatter<std::string_view>::format(continuo::name(dtype), context);
  }
};
