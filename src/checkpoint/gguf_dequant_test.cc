#include "checkpoint/gguf_dequant.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace continuo::checkpoint {
namespace {

std::vector<char> contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// TYPE.bin holds random blocks with edge values, TYPE.f32 what gguf-py 0.19.0 makes of them.
class Dequantize : public ::testing::TestWithParam<uint32_t> {};

TEST_P(Dequantize, EqualsTheReferenceBitForBit) {
  const GgmlTypeInfo* type = find_ggml_type(GetParam());
  ASSERT_NE(type, nullptr);
  const std::string stem =
      std::string(CONTINUO_TEST_DATA) + "/goldens/gguf_dequant/" + std::string(type->name);
  const std::vector<char> blocks = contents(stem + ".bin"), raw = contents(stem + ".f32");
  ASSERT_GT(blocks.size(), 0u);
  const size_t elements =
      blocks.size() / static_cast<size_t>(type->bytes) * static_cast<size_t>(type->block);
  ASSERT_EQ(raw.size(), elements * sizeof(float));
  std::vector<float> expected(elements), actual(elements);
  std::memcpy(expected.data(), raw.data(), raw.size());
  dequantize(type->type, reinterpret_cast<const std::byte*>(blocks.data()), elements,
             actual.data());
  for (size_t i = 0; i < elements; ++i) {
    if (std::isnan(expected[i])) {
      EXPECT_TRUE(std::isnan(actual[i])) << i;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(expected[i]), std::bit_cast<uint32_t>(actual[i])) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryType, Dequantize,
                         ::testing::Values(0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 30, 39),
                         [](const auto& name) { return ggml_type_name(name.param); });

}  // namespace
}  // namespace continuo::checkpoint
