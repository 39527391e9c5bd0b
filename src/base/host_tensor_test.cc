#include "base/host_tensor.h"

#include <gtest/gtest.h>

#include <vector>

namespace continuo {
namespace {

TEST(Shape, CountsAndPrints) {
  EXPECT_EQ((Shape{3, 7, 4}.elements()), 84);
  EXPECT_EQ((Shape{3, 0, 4}.elements()), 0);
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ((Shape{3, 7}.str()), "[3,7]");
  EXPECT_EQ(Shape{}.str(), "[]");
  EXPECT_EQ(fmt::format("{}", Shape{5}), "[5]");
  EXPECT_EQ((Shape{2, 3}), Shape(std::vector<int64_t>{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2}), (Shape{2, 1}));
}

TEST(DType, NamesAndSizesAreStableHlos) {
  const std::pair<const char*, size_t> wanted[] = {
      {"i1", 1},  {"i8", 1},   {"ui8", 1}, {"i16", 2},  {"ui16", 2}, {"i32", 4}, {"ui32", 4},
      {"i64", 8}, {"ui64", 8}, {"f16", 2}, {"bf16", 2}, {"f32", 4},  {"f64", 8}};
  size_t number = 0;
  for (const auto& [text, bytes] : wanted) {
    const DType dtype = static_cast<DType>(number++);
    EXPECT_EQ(name(dtype), text);
    EXPECT_EQ(byte_size(dtype), bytes);
    EXPECT_EQ(dtype_from_name(text), dtype);
    EXPECT_EQ(is_float(dtype), std::string_view(text).find('f') != std::string_view::npos);
    EXPECT_EQ(is_integer(dtype), dtype != DType::kPred && !is_float(dtype));
  }
  EXPECT_EQ(dtype_from_name("f8"), std::nullopt);
}

TEST(HostTensor, IsAlignedAndZero) {
  for (const Shape& shape : {Shape{3, 5}, Shape{1}, Shape{}, Shape{0, 4}}) {
    const HostTensor tensor(DType::kF32, shape);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % HostTensor::kAlignment, 0u);
    EXPECT_EQ(tensor.bytes(), size_t(4 * shape.elements()));
    EXPECT_EQ(tensor.view().bytes(), tensor.bytes());
    for (float value : tensor.as<float>()) EXPECT_EQ(value, 0);
  }
}

TEST(HostTensor, CopiesValuesAndNeverPastThem) {
  const std::vector<int32_t> values{1, 2, 3};
  const HostTensor whole = HostTensor::of<int32_t>(DType::kI32, {3}, values);
  EXPECT_EQ(whole.as<int32_t>()[2], 3);
  const HostTensor longer = HostTensor::of<int32_t>(DType::kI32, {4}, values);
  EXPECT_EQ(longer.as<int32_t>()[3], 0);
  const HostTensor shorter = HostTensor::of<int32_t>(DType::kI32, {2}, values);
  EXPECT_EQ(shorter.as<int32_t>().size(), 2u);
}

}  // namespace
}  // namespace continuo
