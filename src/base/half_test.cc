#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace continuo {
namespace {

// What the bits mean, from IEEE 754's definition.
double f16_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31)
    return mantissa == 0 ? sign * INFINITY : std::numeric_limits<double>::quiet_NaN();
  return exponent == 0 ? sign * std::ldexp(mantissa, -24)
                       : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

double bf16_value(uint16_t bits) {
  const int exponent = bits >> 7 & 255, mantissa = bits & 127;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 255)
    return mantissa == 0 ? sign * INFINITY : std::numeric_limits<double>::quiet_NaN();
  return exponent == 0 ? sign * std::ldexp(mantissa, -133)
                       : sign * std::ldexp(128 + mantissa, exponent - 134);
}

struct Format {
  const char* name;
  float (*widen)(uint16_t);
  uint16_t (*narrow)(float);
  double (*value)(uint16_t);
  uint16_t infinity;
};

class Half : public testing::TestWithParam<Format> {};
INSTANTIATE_TEST_SUITE_P(Formats, Half,
                         testing::Values(Format{"f16", f16_to_f32, f32_to_f16, f16_value, 0x7c00},
                                         Format{"bf16", bf16_to_f32, f32_to_bf16, bf16_value,
                                                0x7f80}),
                         [](const auto& each) { return each.param.name; });

TEST_P(Half, EveryValueWidensAndComesBack) {
  const Format& format = GetParam();
  for (uint32_t i = 0; i < 65536; ++i) {
    const uint16_t bits = static_cast<uint16_t>(i);
    const float wide = format.widen(bits);
    const double wanted = format.value(bits);
    if (std::isnan(wanted)) {
      ASSERT_TRUE(std::isnan(wide)) << i;
      ASSERT_TRUE(std::isnan(format.value(format.narrow(wide)))) << i;
      continue;
    }
    ASSERT_EQ(double(wide), wanted) << i;
    ASSERT_EQ(std::signbit(wide), bits >= 0x8000) << i;
    ASSERT_EQ(format.narrow(wide), bits) << i;
  }
}

// Halfway between neighbours goes to the even one, and a little aside to the nearer.
TEST_P(Half, RoundsToNearestEven) {
  const Format& format = GetParam();
  for (uint16_t low = 0; low + 1 < format.infinity; ++low) {
    const uint16_t high = static_cast<uint16_t>(low + 1);
    const float middle = static_cast<float>((format.value(low) + format.value(high)) / 2);
    for (uint16_t sign : {0x0000, 0x8000}) {
      const auto narrow = [&](float value) { return format.narrow(sign ? -value : value); };
      ASSERT_EQ(narrow(middle), sign | (low % 2 == 0 ? low : high)) << low;
      ASSERT_EQ(narrow(std::nextafter(middle, 0.0f)), sign | low) << low;
      ASSERT_EQ(narrow(std::nextafter(middle, INFINITY)), sign | high) << low;
    }
  }
}

TEST_P(Half, OverflowsToInfinity) {
  const Format& format = GetParam();
  const uint16_t largest = static_cast<uint16_t>(format.infinity - 1);
  const double step = format.value(largest) - format.value(static_cast<uint16_t>(largest - 1));
  const float edge = static_cast<float>(format.value(largest) + step / 2);
  EXPECT_EQ(format.narrow(edge), format.infinity);
  EXPECT_EQ(format.narrow(std::nextafter(edge, 0.0f)), largest);
  EXPECT_EQ(format.narrow(-INFINITY), format.infinity | 0x8000);
  EXPECT_EQ(format.narrow(std::numeric_limits<float>::max()), format.infinity);
}

}  // namespace
}  // namespace continuo
