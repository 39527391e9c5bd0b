#include "checkpoint/mxfp4.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>

namespace continuo::checkpoint {
namespace {

constexpr std::array<float, 16> kE2M1{0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                      -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

// 2^(code - 127)
float e8m0(std::byte code) {
  const uint32_t exponent = std::to_integer<uint32_t>(code);
  if (exponent == 255) return std::numeric_limits<float>::quiet_NaN();
  if (exponent == 0) return 0x1p-127f;  // subnormal in float32
  return std::bit_cast<float>(exponent << 23);
}

// Decodes the same group of up to 64 columns, so that the transposed rows are written in runs.
constexpr size_t kTile = 64;

void dequantize_tile(const std::byte* blocks, const std::byte* scales, size_t width, size_t groups,
                     size_t columns, float* out) {
  std::array<std::array<float, kTile>, kMxfp4BlockValues> tile;
  for (size_t column = 0; column < width; ++column) {
    const std::byte* block = blocks + column * groups * kMxfp4BlockBytes;
    const float scale = e8m0(scales[column * groups]);
    for (size_t i = 0; i < kMxfp4BlockBytes; ++i) {
      const auto pair = std::to_integer<size_t>(block[i]);
      tile[2 * i][column] = kE2M1[pair & 15] * scale;
      tile[2 * i + 1][column] = kE2M1[pair >> 4] * scale;
    }
  }
  for (size_t row = 0; row < kMxfp4BlockValues; ++row)
    std::copy_n(tile[row].begin(), width, out + row * columns);
}

}  // namespace

void dequantize_mxfp4(const std::byte* blocks, const std::byte* scales, size_t experts,
                      size_t columns, size_t groups, std::span<float> out) {
  for (size_t expert = 0; expert < experts; ++expert) {
    const size_t first_block = expert * columns * groups;
    float* const matrix = out.data() + first_block * kMxfp4BlockValues;
    for (size_t column = 0; column < columns; column += kTile) {
      const size_t width = std::min(kTile, columns - column);
      for (size_t group = 0; group < groups; ++group) {
        const size_t block = first_block + column * groups + group;
        dequantize_tile(blocks + block * kMxfp4BlockBytes, scales + block, width, groups, columns,
                        matrix + group * kMxfp4BlockValues * columns + column);
      }
    }
  }
}

}  // namespace continuo::checkpoint
