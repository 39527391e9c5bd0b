// Products of a few rows with a large matrix: what a decode step does with every weight. Each line
// of the matrix is read once, from memory, for all rows; a library's product of two matrices packs
// it first, which at few rows takes longer than the product.
//
// Any thread; no state. Compiled for several instruction sets, chosen at the first call (Highway).
#pragma once

#include <cstdint>

namespace continuo::runtime::kernels {

// Lines that are computed together: `begin` and `end` are best multiples of it.
inline constexpr int64_t kLinearBlock = 16;

// y[r, begin..end) = x:[rows,in] @ w:[out,in]^T, float32, into y:[rows,out]. A value depends on its
// own row and line alone, whatever `rows`, `begin` and `end` are: bit for bit the same on one
// machine.
void linear(const float* x, const float* w, float* y, int64_t rows, int64_t in, int64_t out,
            int64_t begin, int64_t end);

}  // namespace continuo::runtime::kernels
