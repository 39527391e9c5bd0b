#include "runtime/pjrt/compile_options.h"

#include <gtest/gtest.h>

namespace continuo::runtime::pjrt {
namespace {

using namespace std::string_literals;

TEST(CompileOptions, OneDeviceNeedsThreeFields) {
  const std::string minus_one = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s;
  EXPECT_EQ((CompileOptions{{0}, {}}.serialize()),
            "\x1a\x0f\x08"s + minus_one + "\x20\x01\x28\x01");
}

TEST(CompileOptions, SeveralDevicesArePartitions) {
  const std::string bytes = CompileOptions{{0, 300}, {}}.serialize();
  // device_assignment {1 replica, 2 computations, devices 0 and 300}
  EXPECT_NE(bytes.find("\x4a\x0d\x08\x01\x10\x02\x1a\x02\x08\x00\x1a\x03\x08\xac\x02"s),
            std::string::npos);
  EXPECT_NE(bytes.find("\x28\x02\x30\x01"s), std::string::npos);  // partitions, SPMD
}

TEST(CompileOptions, OverridesAreAMapOfStrings) {
  const std::string bytes = CompileOptions{{0}, {{"a", "bc"}}}.serialize();
  EXPECT_TRUE(bytes.ends_with("\x3a\x09\x0a\x01\x61\x12\x04\x0a\x02\x62\x63"s));
}

}  // namespace
}  // namespace continuo::runtime::pjrt
