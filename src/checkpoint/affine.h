// MLX's affine quantisation: unsigned integers packed into 32-bit words, a scale and a bias per
// group. Reference: ml-explore/mlx, mx.quantize and mx.dequantize (CPU backend).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/dtype.h"

namespace continuo::checkpoint {

struct AffineRows {
  int bits = 0;                     // 2, 3, 4, 5, 6 or 8
  int group_size = 0;               // divides `columns`
  size_t rows = 0, columns = 0;     // logical; columns * bits is a multiple of 32
  DType scale_dtype = DType::kF32;  // F32, F16 or BF16: of scales and biases
  const std::byte* packed =
      nullptr;  // [rows, columns * bits / 8] bytes: a stream of bits, lowest first
  const std::byte* scales = nullptr;  // [rows, columns / group_size]
  const std::byte* biases = nullptr;  // the same
};

// out: [rows, columns] = round(round(q * scale) + bias), each rounded to scale_dtype as mlx does.
void dequantize_affine(const AffineRows& from, std::span<float> out);

}  // namespace continuo::checkpoint
