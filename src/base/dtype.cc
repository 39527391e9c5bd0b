#include "base/dtype.h"

#include <array>

namespace continuo {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  size_t bytes;
};

constexpr std::array<Row, 13> kTable{{{DType::kPred, "i1", 1},
                                      {DType::kI8, "i8", 1},
                                      {DType::kU8, "ui8", 1},
                                      {DType::kI16, "i16", 2},
                                      {DType::kU16, "ui16", 2},
                                      {DType::kI32, "i32", 4},
                                      {DType::kU32, "ui32", 4},
                                      {DType::kI64, "i64", 8},
                                      {DType::kU64, "ui64", 8},
                                      {DType::kF16, "f16", 2},
                                      {DType::kBF16, "bf16", 2},
                                      {DType::kF32, "f32", 4},
                                      {DType::kF64, "f64", 8}}};

const Row& row(DType dtype) { return kTable[static_cast<size_t>(dtype)]; }

}  // namespace

size_t byte_size(DType dtype) { return row(dtype).bytes; }
std::string_view name(DType dtype) { return row(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& entry : kTable)
    if (entry.name == name) return entry.dtype;
  return std::nullopt;
}

bool is_float(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF32 ||
         dtype == DType::kF64;
}
bool is_integer(DType dtype) { return dtype != DType::kPred && !is_float(dtype); }

}  // namespace continuo
