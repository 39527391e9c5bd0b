// Arrays of the types a checkpoint stores, to float32: the one place where elements change type.
#pragma once

#include <cstddef>
#include <span>

#include "base/dtype.h"

namespace continuo::checkpoint {

// `from` holds out.size() elements, little-endian, at any alignment; conversions of F16 and BF16
// are exact, of wider types round to nearest even. F16C is used where the CPU has it. Any thread.
void f16_to_f32(const std::byte* from, std::span<float> out);
void bf16_to_f32(const std::byte* from, std::span<float> out);
// Of any dtype; kPred gives 0 or 1.
void to_f32(DType dtype, const std::byte* from, std::span<float> out);

// Each value to the nearest that the narrower type holds, ties to even, in place.
void round_to_f16(std::span<float> values);
void round_to_bf16(std::span<float> values);

}  // namespace continuo::checkpoint
