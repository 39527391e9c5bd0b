// How a Hugging Face tensor is made of the tensors of a GGUF file, and its reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "checkpoint/gguf_file.h"
#include "checkpoint/tensor_source.h"

namespace continuo::checkpoint {

// A run of one source's elements, two of its axes exchanged, laid out in the target.
struct GgufPiece {
  size_t source = 0;             // index into GgufFile::tensors
  int64_t first = 0, count = 0;  // elements, in the source's order
  // The run seen as [.., a, b, inner]; a and b change places. 1 and 1: nothing moves.
  int64_t a = 1, b = 1, inner = 1;
  // Element i of the result goes to to + i / chunk * stride + i % chunk.
  int64_t to = 0, chunk = 0, stride = 0;

  bool moves() const { return a > 1 && b > 1; }
  bool contiguous() const { return chunk == count; }
};

// What the converter did to the values, undone: y = x - amount, or y = log(-x).
enum class GgufFix { kNone, kSubtract, kLogOfNegative };

struct GgufMapping {
  TensorInfo info;
  std::vector<GgufPiece> pieces;
  GgufFix fix = GgufFix::kNone;
  double amount = 0;

  // Whether the file holds the target's elements as they are and in their order.
  bool in_place() const;
  // The order of the stored rows, where the file holds whole rows; nullopt otherwise.
  std::optional<RowOrder> row_order() const;
};

// Checks a mapping against its sources (blocks are not cut, everything is in range, the target is
// as large as its pieces) and fills info.dtype and info.encoding.
Status check_mapping(const GgufFile& file, GgufMapping& mapping);

// Reads a checked mapping. `parts` holds the bytes of each file of the checkpoint; `out` has as
// many floats as the tensor has elements. Any thread.
void read_mapping(const GgufFile& file, const GgufMapping& mapping,
                  std::span<const std::span<const std::byte>> parts, std::span<float> out);

// The bytes of the file that a piece reads.
struct GgufRange {
  size_t part = 0;
  uint64_t offset = 0, bytes = 0;
};
GgufRange byte_range(const GgufFile& file, const GgufPiece& piece);

}  // namespace continuo::checkpoint
