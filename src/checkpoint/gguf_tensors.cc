#include "checkpoint/gguf_tensors.h"

#include <algorithm>
#include <cmath>

#include "checkpoint/gguf_dequant.h"

namespace continuo::checkpoint {
namespace {

bool multiply(int64_t a, int64_t b, int64_t& product) {
  return !__builtin_mul_overflow(a, b, &product);
}

// The elements that move together; they are dequantised together. False on overflow.
bool group_size(const GgufPiece& piece, int64_t block, int64_t& group) {
  if (piece.moves())
    return multiply(piece.a, piece.b, group) && multiply(group, piece.inner, group);
  group = piece.chunk % block == 0 ? piece.chunk : piece.count;
  return true;
}

bool fits(const GgufFile& file, const GgufPiece& piece, int64_t target_elements) {
  const GgufTensor& source = file.tensors[piece.source];
  const int64_t elements = source.shape.elements(), block = info(source.type).block;
  if (piece.first < 0 || piece.count <= 0 || piece.first > elements ||
      piece.count > elements - piece.first) {
    return false;
  }
  if (piece.first % block != 0 || piece.count % block != 0) return false;
  if (piece.a <= 0 || piece.b <= 0 || piece.inner <= 0 || piece.chunk <= 0) return false;
  int64_t group = 0, last = 0;
  if (!group_size(piece, block, group) || piece.count % group != 0 || group % block != 0) {
    return false;
  }
  if (piece.count % piece.chunk != 0 || piece.to < 0 || piece.stride < piece.chunk) return false;
  return multiply(piece.count / piece.chunk - 1, piece.stride, last) &&
         piece.to <= target_elements - piece.chunk &&
         last <= target_elements - piece.chunk - piece.to;
}

// [a, b, inner] becomes [b, a, inner].
void exchange(const GgufPiece& piece, const float* in, float* out) {
  for (int64_t j = 0; j < piece.b; ++j) {
    for (int64_t i = 0; i < piece.a; ++i) {
      const float* from = in + (i * piece.b + j) * piece.inner;
      out = std::copy_n(from, piece.inner, out);
    }
  }
}

// Writes `count` elements of the result from position `position` on.
void scatter(const GgufPiece& piece, const float* in, int64_t position, int64_t count, float* out) {
  while (count > 0) {
    const int64_t within = position % piece.chunk;
    const int64_t run = std::min(piece.chunk - within, count);
    std::copy_n(in, run, out + piece.to + position / piece.chunk * piece.stride + within);
    in += run;
    position += run;
    count -= run;
  }
}

void read_piece(const GgufTensor& source, const GgufPiece& piece, const std::byte* data,
                float* out) {
  if (!piece.moves() && piece.contiguous()) {
    dequantize(source.type, data, static_cast<size_t>(piece.count), out + piece.to);
    return;
  }
  const GgmlTypeInfo& type = info(source.type);
  int64_t group = 0;
  group_size(piece, type.block, group);
  std::vector<float> stored(static_cast<size_t>(group)), moved;
  if (piece.moves()) moved.resize(stored.size());
  for (int64_t position = 0; position < piece.count; position += group) {
    dequantize(source.type, data + position / type.block * type.bytes, stored.size(),
               stored.data());
    if (piece.moves()) exchange(piece, stored.data(), moved.data());
    scatter(piece, piece.moves() ? moved.data() : stored.data(), position, group, out);
  }
}

void apply(const GgufMapping& mapping, std::span<float> values) {
  switch (mapping.fix) {
    case GgufFix::kNone:
      return;
    case GgufFix::kSubtract:
      for (float& value : values) value = static_cast<float>(double{value} - mapping.amount);
      return;
    case GgufFix::kLogOfNegative:
      for (float& value : values) value = static_cast<float>(std::log(-double{value}));
      return;
  }
}

}  // namespace

bool GgufMapping::in_place() const {
  return pieces.size() == 1 && fix == GgufFix::kNone && pieces[0].contiguous() &&
         !pieces[0].moves();
}

std::optional<RowOrder> GgufMapping::row_order() const {
  if (pieces.size() != 1 || fix != GgufFix::kNone || !pieces[0].contiguous()) return std::nullopt;
  const GgufPiece& piece = pieces[0];
  if (!piece.moves()) return RowOrder{};
  const int64_t columns = info.shape[info.shape.rank() - 1];
  if (piece.inner % columns != 0) return std::nullopt;
  return RowOrder{piece.a, piece.b, piece.inner / columns};
}

Status check_mapping(const GgufFile& file, GgufMapping& mapping) {
  int64_t elements = 1, total = 0;
  bool good = !mapping.pieces.empty();
  for (int64_t dim : mapping.info.shape.dims()) {
    good = good && dim > 0 && multiply(elements, dim, elements);
  }
  for (const GgufPiece& piece : mapping.pieces) {
    good = good && piece.source < file.tensors.size() && fits(file, piece, elements);
    if (good) total += piece.count;
  }
  if (!good || total != elements) {
    const bool known = !mapping.pieces.empty() && mapping.pieces[0].source < file.tensors.size();
    const GgufTensor* source = known ? &file.tensors[mapping.pieces[0].source] : nullptr;
    return error(ErrorCode::kCorrupt, "tensor '{}' of shape {} does not make '{}' of shape {}",
                 source ? source->name : "?", source ? source->shape : Shape{}, mapping.info.name,
                 mapping.info.shape);
  }
  const GgmlTypeInfo& first = checkpoint::info(file.tensors[mapping.pieces[0].source].type);
  const bool alike = std::all_of(
      mapping.pieces.begin(), mapping.pieces.end(),
      [&](const GgufPiece& piece) { return file.tensors[piece.source].type == first.type; });
  if (alike && mapping.fix == GgufFix::kNone) {
    mapping.info.dtype = first.dtype;
    mapping.info.encoding = first.encoding;
  }
  return ok_status();
}

GgufRange byte_range(const GgufFile& file, const GgufPiece& piece) {
  const GgufTensor& source = file.tensors[piece.source];
  const GgmlTypeInfo& type = info(source.type);
  return {source.part, source.offset + static_cast<uint64_t>(piece.first / type.block * type.bytes),
          static_cast<uint64_t>(piece.count / type.block * type.bytes)};
}

void read_mapping(const GgufFile& file, const GgufMapping& mapping,
                  std::span<const std::span<const std::byte>> parts, std::span<float> out) {
  for (const GgufPiece& piece : mapping.pieces) {
    const GgufRange range = byte_range(file, piece);
    const std::byte* data = parts[range.part].data() + range.offset;
    read_piece(file.tensors[piece.source], piece, data, out.data());
  }
  apply(mapping, out);
}

}  // namespace continuo::checkpoint
