// Dequantisation of ggml's blocks to float32, bit for bit as gguf-py's numpy code gives it
// (gguf/quants.py, `dequantize_blocks`): products and sums in its order, no fused multiply-add.
#pragma once

#include <cstddef>
#include <cstdint>

#include "checkpoint/ggml_type.h"

namespace continuo::checkpoint {

// Writes `elements` floats, a multiple of the type's block, from as many blocks. Any thread.
void dequantize(GgmlType type, const std::byte* blocks, size_t elements, float* out);

}  // namespace continuo::checkpoint
