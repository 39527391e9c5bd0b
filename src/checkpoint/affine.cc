#include "checkpoint/affine.h"

#include <cstring>
#include <vector>

#include "checkpoint/convert.h"

namespace continuo::checkpoint {
namespace {

// Reads `count` integers of `bits` each; groups begin on a byte because they hold 32 or more.
void unpack(const std::byte* packed, int bits, size_t count, uint8_t* out) {
  if (bits == 8) {
    std::memcpy(out, packed, count);
    return;
  }
  if (bits == 4) {  // the usual width, in a form that vectorises
    for (size_t i = 0; i < count / 2; ++i) {
      const auto pair = std::to_integer<uint8_t>(packed[i]);
      out[2 * i] = pair & 15;
      out[2 * i + 1] = pair >> 4;
    }
    return;
  }
  const uint32_t mask = (1u << bits) - 1u;
  uint32_t window = 0;
  int held = 0;
  for (size_t i = 0; i < count; ++i) {
    if (held < bits) {
      window |= std::to_integer<uint32_t>(*packed++) << held;
      held += 8;
    }
    out[i] = static_cast<uint8_t>(window & mask);
    window >>= bits;
    held -= bits;
  }
}

// To the type that mlx computes in.
void round_to(DType dtype, std::span<float> values) {
  if (dtype == DType::kF16) round_to_f16(values);
  if (dtype == DType::kBF16) round_to_bf16(values);
}

}  // namespace

void dequantize_affine(const AffineRows& from, std::span<float> out) {
  const size_t group = static_cast<size_t>(from.group_size);
  const size_t group_bytes = group * static_cast<size_t>(from.bits) / 8;
  const size_t groups = from.columns / group;
  const size_t scale_bytes = byte_size(from.scale_dtype);
  std::vector<float> scales(groups), biases(groups);
  std::vector<uint8_t> codes(group);
  for (size_t row = 0; row < from.rows; ++row) {
    to_f32(from.scale_dtype, from.scales + row * groups * scale_bytes, scales);
    to_f32(from.scale_dtype, from.biases + row * groups * scale_bytes, biases);
    for (size_t g = 0; g < groups; ++g) {
      const size_t index = row * groups + g;
      unpack(from.packed + index * group_bytes, from.bits, group, codes.data());
      const std::span<float> part = out.subspan(index * group, group);
      const float scale = scales[g], bias = biases[g];
      for (size_t i = 0; i < group; ++i) part[i] = static_cast<float>(codes[i]) * scale;
      round_to(from.scale_dtype, part);
      for (float& value : part) value += bias;
      round_to(from.scale_dtype, part);
    }
  }
}

}  // namespace continuo::checkpoint
