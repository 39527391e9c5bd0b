// MXFP4 as gpt-oss ships it: blocks of 32 E2M1 values, two to a byte, and one E8M0 scale.
// Sources: OCP Microscaling Formats v1.0, section 5; transformers integrations/mxfp4.py.
#pragma once

#include <cstddef>
#include <span>

namespace continuo::checkpoint {

inline constexpr size_t kMxfp4BlockValues = 32;
inline constexpr size_t kMxfp4BlockBytes = 16;

// blocks: [experts, columns, groups, 16], scales: [experts, columns, groups]
// -> out: [experts, groups * 32, columns], the transposed layout that gpt-oss multiplies with.
// The low half of a byte comes first. A scale of 255 is NaN, as OCP says.
void dequantize_mxfp4(const std::byte* blocks, const std::byte* scales, size_t experts,
                      size_t columns, size_t groups, std::span<float> out);

}  // namespace continuo::checkpoint
