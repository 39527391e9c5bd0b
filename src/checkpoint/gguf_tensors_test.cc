#include "checkpoint/gguf_tensors.h"

#include <gtest/gtest.h>

#include <numeric>

#include "checkpoint/gguf_dequant.h"
#include "checkpoint/gguf_test_bytes.h"

namespace continuo::checkpoint {
namespace {

// "f": float32 0..23 as [4, 6]; "q": Q8_0 [2, 64] with scale 1 and the quants 0..127.
struct Fixture {
  GgufBytes bytes;
  GgufFile file;
  std::vector<std::span<const std::byte>> parts;

  Fixture() {
    bytes.counts(2, 0).tensor("f", {6, 4}, 0, 0).tensor("q", {64, 2}, 8, 96).pad();
    for (int i = 0; i < 24; ++i) bytes.put(static_cast<float>(i));
    for (int block = 0; block < 4; ++block) {
      bytes.put<uint16_t>(0x3c00);
      for (int i = 0; i < 32; ++i) bytes.put(static_cast<int8_t>(32 * block + i));
    }
    file = parse_gguf(bytes.bytes(), "fixture").value();
    parts = {bytes.bytes()};
  }

  GgufPiece piece(size_t source, int64_t first, int64_t count) const {
    GgufPiece result;
    result.source = source;
    result.first = first;
    result.count = result.chunk = result.stride = count;
    return result;
  }
  GgufMapping mapping(Shape shape, std::vector<GgufPiece> pieces) const {
    GgufMapping result;
    result.info.name = "t";
    result.info.shape = std::move(shape);
    result.pieces = std::move(pieces);
    return result;
  }
  std::vector<float> read(GgufMapping mapping) {
    const Status status = check_mapping(file, mapping);
    EXPECT_TRUE(status.ok());
    if (!status.ok()) return {};
    std::vector<float> out(static_cast<size_t>(mapping.info.shape.elements()));
    read_mapping(file, mapping, parts, out);
    return out;
  }
};

TEST(GgufTensors, ReadsASliceInPlace) {
  Fixture fixture;
  GgufMapping mapping = fixture.mapping({2, 3}, {fixture.piece(0, 6, 6)});
  EXPECT_EQ(fixture.read(mapping), (std::vector<float>{6, 7, 8, 9, 10, 11}));
  EXPECT_TRUE(mapping.in_place());
}

TEST(GgufTensors, ExchangesAxes) {
  Fixture fixture;
  GgufPiece rows = fixture.piece(0, 0, 24);
  rows.a = 2;  // [2, 2, 6]: rows 0 2 1 3
  rows.b = 2;
  rows.inner = 6;
  std::vector<float> wanted = {0, 1, 2, 3, 4,  5,  12, 13, 14, 15, 16, 17,
                               6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23};
  GgufMapping mapping = fixture.mapping({4, 6}, {rows});
  EXPECT_EQ(fixture.read(mapping), wanted);
  EXPECT_FALSE(mapping.in_place());
  ASSERT_TRUE(mapping.row_order().has_value());
  EXPECT_EQ(mapping.row_order()->a, 2);
  EXPECT_EQ(mapping.row_order()->rows, 1);

  GgufPiece transposed = fixture.piece(0, 0, 24);
  transposed.a = 4;
  transposed.b = 6;
  mapping = fixture.mapping({6, 4}, {transposed});
  EXPECT_EQ(fixture.read(mapping)[1], 6);
  EXPECT_FALSE(mapping.row_order().has_value());
}

TEST(GgufTensors, ExchangesPartsOfARowOfBlocks) {
  Fixture fixture;
  GgufPiece columns = fixture.piece(1, 0, 128);
  columns.a = 2;  // each row [2, 4, 8], finer than a block
  columns.b = 4;
  columns.inner = 8;
  const std::vector<float> got = fixture.read(fixture.mapping({2, 64}, {columns}));
  ASSERT_EQ(got.size(), 128u);
  EXPECT_EQ(got[8], 32);
  EXPECT_EQ(got[16], 8);
  EXPECT_EQ(got[64 + 8], 96);
}

TEST(GgufTensors, InterleavesPieces) {
  Fixture fixture;
  GgufPiece even = fixture.piece(0, 0, 6), odd = fixture.piece(0, 12, 6);
  even.chunk = odd.chunk = 2;
  even.stride = odd.stride = 4;
  odd.to = 2;
  EXPECT_EQ(fixture.read(fixture.mapping({12}, {even, odd})),
            (std::vector<float>{0, 1, 12, 13, 2, 3, 14, 15, 4, 5, 16, 17}));
}

TEST(GgufTensors, UndoesSumsAndExponentials) {
  Fixture fixture;
  GgufMapping mapping = fixture.mapping({3}, {fixture.piece(0, 1, 3)});
  mapping.fix = GgufFix::kSubtract;
  mapping.amount = 1;
  EXPECT_EQ(fixture.read(mapping), (std::vector<float>{0, 1, 2}));
  mapping.fix = GgufFix::kLogOfNegative;
  EXPECT_TRUE(std::isnan(fixture.read(mapping)[0]));
}

TEST(GgufTensors, NamesTheTypeOfItsSources) {
  Fixture fixture;
  GgufMapping blocks = fixture.mapping({64}, {fixture.piece(1, 64, 64)});
  ASSERT_TRUE(check_mapping(fixture.file, blocks).ok());
  EXPECT_EQ(blocks.info.encoding, Encoding::kQ8_0);
  GgufPiece plain = fixture.piece(0, 0, 24), mixed = fixture.piece(1, 0, 64);
  plain.to = 64;
  GgufMapping both = fixture.mapping({88}, {mixed, plain});
  ASSERT_TRUE(check_mapping(fixture.file, both).ok());
  EXPECT_EQ(both.info.encoding, Encoding::kPlain);
  EXPECT_EQ(both.info.dtype, DType::kF32);
}

TEST(GgufTensors, RefusesWhatDoesNotFit) {
  Fixture fixture;
  const auto refused = [&](Shape shape, GgufPiece piece) {
    GgufMapping mapping = fixture.mapping(std::move(shape), {piece});
    return !check_mapping(fixture.file, mapping).ok();
  };
  EXPECT_TRUE(refused({7}, fixture.piece(0, 18, 7)));    // beyond the source
  EXPECT_TRUE(refused({5}, fixture.piece(0, 0, 6)));     // beyond the target
  EXPECT_TRUE(refused({7}, fixture.piece(0, 0, 6)));     // part of the target
  EXPECT_TRUE(refused({32}, fixture.piece(1, 16, 32)));  // cuts a block
  EXPECT_TRUE(refused({6}, fixture.piece(2, 0, 6)));     // no such source
  EXPECT_TRUE(refused({-6}, fixture.piece(0, 0, 6)));
  GgufPiece piece = fixture.piece(0, 0, 24);
  piece.a = 5;
  piece.b = 5;
  EXPECT_TRUE(refused({24}, piece));
  piece.a = piece.b = piece.inner = int64_t{1} << 40;
  EXPECT_TRUE(refused({24}, piece));
  piece = fixture.piece(0, 0, 24);
  piece.chunk = 12;
  piece.stride = 13;
  EXPECT_TRUE(refused({24}, piece));
  piece.stride = std::numeric_limits<int64_t>::max();
  EXPECT_TRUE(refused({24}, piece));
  piece.stride = 11;
  EXPECT_TRUE(refused({24}, piece));
}

}  // namespace
}  // namespace continuo::checkpoint
