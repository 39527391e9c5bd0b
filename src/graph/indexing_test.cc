#include "graph/indexing.h"

#include "graph/elementwise.h"
#include "graph/plugins_test.h"

namespace continuo::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Indexing : public OnPlugin {
 protected:
  const Value x = in(DType::kF32, {3, 4}, {0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23});
};
CONTINUO_ON_BOTH_PLUGINS(Indexing);

TEST_P(Indexing, DynamicSlices) {
  const Value row = scalar(1), column = scalar(2);
  const Value update = in(DType::kF32, {1, 2}, {-1, -2});
  const Value part = dynamic_slice(x, {row, column}, {2, 1});
  EXPECT_EQ(part.shape(), (Shape{2, 1}));
  EXPECT_THAT(
      run({part, dynamic_update_slice(x, update, {row, column})}),
      ElementsAre(ElementsAre(12, 22), ElementsAre(0, 1, 2, 3, 10, 11, -1, -2, 20, 21, 22, 23)));
}

TEST_P(Indexing, TakesRowsOfAnyRank) {
  const Value one = scalar(2), grid = in(DType::kI32, {2, 2}, {0, 2, 1, 0});
  const Value cube = in(DType::kI32, {2, 1, 2}, {1, 2, 3, 4}), line = floats({5, 6, 7});
  const Value picked = take_rows(cube, ints({1, 1, 0}));
  EXPECT_EQ(take_rows(x, grid).shape(), (Shape{2, 2, 4}));
  EXPECT_EQ(picked.shape(), (Shape{3, 1, 2}));
  EXPECT_THAT(run({take_rows(x, one), take_rows(x, grid), picked, take_rows(line, grid)}),
              ElementsAre(ElementsAre(20, 21, 22, 23),
                          ElementsAre(0, 1, 2, 3, 20, 21, 22, 23, 10, 11, 12, 13, 0, 1, 2, 3),
                          ElementsAre(3, 4, 3, 4, 1, 2), ElementsAre(5, 7, 6, 5)));
}

TEST_P(Indexing, TakesOneOfTheLastAxis) {
  const Value y = floats({-INFINITY, 8, INFINITY});
  const Value last = take_last(x, ints({3, 0, 2}));
  EXPECT_EQ(last.shape(), (Shape{3}));
  EXPECT_THAT(run({last, take_last(y, scalar(1)), take_last(y, scalar(0))}),
              ElementsAre(ElementsAre(3, 10, 22), ElementsAre(8), ElementsAre(-INFINITY)));
}

TEST_P(Indexing, PutsAndAddsRows) {
  const Value rows = in(DType::kF32, {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_THAT(run({put_rows(x, ints({2, 0}), rows), add_rows(x, ints({1, 1}), rows),
                   add_rows(x, in(DType::kI32, {0}, {}), in(DType::kF32, {0, 4}, {}))}),
              ElementsAre(ElementsAre(5, 6, 7, 8, 10, 11, 12, 13, 1, 2, 3, 4),
                          ElementsAre(0, 1, 2, 3, 16, 19, 22, 25, 20, 21, 22, 23),
                          ElementsAre(0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23)));
}

TEST_P(Indexing, PutsRowsOfBf16) {
  const Value y = in(DType::kBF16, {2, 1}, {1, 2}), row = in(DType::kBF16, {1, 1}, {-3});
  EXPECT_THAT(run(put_rows(y, ints({1}), row)), ElementsAre(1, -3));
}

TEST(IndexingRefuses, WhatDoesNotFit) {
  Graph g, other;
  const Value x = g.argument("x", DType::kF32, {3, 4}), s = g.argument("s", DType::kI32, {});
  const Value f = g.argument("f", DType::kF32, {}), i = g.argument("i", DType::kI32, {2});
  const Value wide = g.argument("w", DType::kF32, {1, 5}),
              h = g.argument("h", DType::kBF16, {1, 4});
  const Value far = other.argument("s", DType::kI32, {});
  EXPECT_EQ(refusal([&] {
              dynamic_slice(x, {s}, {1, 1});
            }),
            "[dynamic_slice] wanted 2 starts, got 1 for f32[3,4]");
  EXPECT_EQ(refusal([&] {
              dynamic_slice(x, {s, f}, {1, 1});
            }),
            "[dynamic_slice] wanted scalar i32 starts, got f32[]");
  EXPECT_EQ(refusal([&] {
              dynamic_slice(x, {s, s}, {1});
            }),
            "[dynamic_slice] wanted 2 sizes, got [1]");
  EXPECT_EQ(refusal([&] {
              dynamic_slice(x, {s, s}, {1, 5});
            }),
            "[dynamic_slice] sizes [1, 5] do not fit f32[3,4]");
  EXPECT_EQ(refusal([&] { dynamic_slice(f, {}, {}); }),
            "[dynamic_slice] wanted at least one dimension, got f32[]");
  EXPECT_THAT(refusal([&] { dynamic_slice(x, {s, far}, {1, 1}); }), HasSubstr("another graph"));
  EXPECT_EQ(refusal([&] {
              dynamic_update_slice(x, wide, {s, s});
            }),
            "[dynamic_update_slice] f32[1,5] does not fit into f32[3,4]");
  EXPECT_EQ(refusal([&] {
              dynamic_update_slice(x, h, {s, s});
            }),
            "[dynamic_update_slice] wanted an update like f32[3,4], got bf16[1,4]");
  EXPECT_EQ(refusal([&] { take_rows(x, f); }), "[take_rows] wanted i32 indices, got f32[]");
  EXPECT_THAT(refusal([&] { take_rows(f, i); }), HasSubstr("[take_rows] wanted x:[N, ...]"));
  EXPECT_EQ(refusal([&] { take_last(x, s); }),
            "[take_last] wanted x:[B...,N] indices:[B...], got f32[3,4], i32[]");
  EXPECT_EQ(refusal([&] { put_rows(x, i, wide); }),
            "[put_rows] wanted x:[N,D] indices:[I] updates:[I,D], got f32[3,4], i32[2], f32[1,5]");
  EXPECT_THAT(refusal([&] { add_rows(x, s, wide); }), HasSubstr("[add_rows] wanted x:[N,D]"));
}

}  // namespace
}  // namespace continuo::graph
