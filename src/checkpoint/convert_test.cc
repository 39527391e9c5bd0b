#include "checkpoint/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "base/half.h"

namespace continuo::checkpoint {
namespace {

using ::testing::ElementsAre;

// Converts from an odd address, as a file may hold the array.
template <typename T>
std::vector<float> converted(DType dtype, const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T) + 1);
  std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(T));
  std::vector<float> out(values.size());
  to_f32(dtype, bytes.data() + 1, out);
  return out;
}

TEST(Convert, EveryHalf) {
  std::vector<uint16_t> all(65536 + 3);  // an odd count leaves a tail after the vector lanes
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  const std::vector<float> out = converted(DType::kF16, all);
  for (size_t i = 0; i < all.size(); ++i) {
    const int sign = all[i] >> 15, exponent = (all[i] >> 10) & 31, mantissa = all[i] & 1023;
    if (exponent == 31 && mantissa != 0) {
      ASSERT_TRUE(std::isnan(out[i])) << i;
      continue;
    }
    double value = exponent == 31  ? INFINITY
                   : exponent == 0 ? std::ldexp(mantissa, -24)
                                   : std::ldexp(1024 + mantissa, exponent - 25);
    if (sign != 0) value = -value;
    ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(static_cast<float>(value)))
        << i;
  }
}

TEST(Convert, EveryBfloat) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  const std::vector<float> out = converted(DType::kBF16, all);
  for (size_t i = 0; i < all.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), static_cast<uint32_t>(i) << 16);
}

TEST(Convert, OtherTypes) {
  EXPECT_THAT(converted<float>(DType::kF32, {1.5f, -0.25f}), ElementsAre(1.5f, -0.25f));
  EXPECT_THAT(converted<double>(DType::kF64, {1.0 / 3, -1e300}),
              ElementsAre(static_cast<float>(1.0 / 3), -INFINITY));
  EXPECT_THAT(converted<int8_t>(DType::kI8, {-128, 127}), ElementsAre(-128.0f, 127.0f));
  EXPECT_THAT(converted<uint8_t>(DType::kU8, {0, 255}), ElementsAre(0.0f, 255.0f));
  EXPECT_THAT(converted<int16_t>(DType::kI16, {-32768, 3}), ElementsAre(-32768.0f, 3.0f));
  EXPECT_THAT(converted<uint16_t>(DType::kU16, {65535}), ElementsAre(65535.0f));
  EXPECT_THAT(converted<int32_t>(DType::kI32, {-7, 1 << 24}), ElementsAre(-7.0f, 16777216.0f));
  EXPECT_THAT(converted<uint32_t>(DType::kU32, {~0u}), ElementsAre(4294967296.0f));
  EXPECT_THAT(converted<int64_t>(DType::kI64, {-(int64_t{1} << 40)}), ElementsAre(-0x1p40f));
  EXPECT_THAT(converted<uint64_t>(DType::kU64, {uint64_t{1} << 63}), ElementsAre(0x1p63f));
  EXPECT_THAT(converted<uint8_t>(DType::kPred, {0, 1, 7}), ElementsAre(0.0f, 1.0f, 1.0f));
}

TEST(Convert, RoundsToTheNarrowerType) {
  const std::vector<float> wide{1.0f + 0x1p-11f, 1.0f + 0x3p-11f, 65519.0f, 65520.0f, 0x1p-25f,
                                0x3p-25f,        -2.0f - 0x1p-9f, -0.0f,    INFINITY};
  std::vector<float> half = wide;
  round_to_f16(half);  // eight in vector lanes, one after them
  EXPECT_THAT(half, ElementsAre(1.0f, 1.0f + 0x1p-9f, 65504.0f, INFINITY, 0.0f, 0x1p-23f,
                                -2.0f - 0x1p-9f, -0.0f, INFINITY));
  std::vector<float> bfloat{1.0f + 0x1p-8f, 1.0f + 0x3p-8f, -INFINITY, 0x1.ffp127f};
  round_to_bf16(bfloat);
  EXPECT_THAT(bfloat, ElementsAre(1.0f, 1.0f + 0x1p-6f, -INFINITY, INFINITY));
  std::vector<float> nan{std::bit_cast<float>(0x7f800001u)};
  round_to_bf16(nan);
  EXPECT_TRUE(std::isnan(nan[0]));
}

}  // namespace
}  // namespace continuo::checkpoint
