#include "graph/shaping.h"

#include <cmath>
#include <numeric>

#include "graph/elementwise.h"
#include "graph/plugins_test.h"

namespace continuo::graph {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

Numbers count_to(size_t size) {
  Numbers numbers(size);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

class Shaping : public OnPlugin {
 protected:
  const Value x = in(DType::kF32, {2, 3}, count_to(6));  // 0 1 2 | 3 4 5
};
CONTINUO_ON_BOTH_PLUGINS(Shaping);

TEST_P(Shaping, ReshapeInfersOneSize) {
  EXPECT_EQ(reshape(x, {-1}).shape(), (Shape{6}));
  EXPECT_EQ(reshape(x, {3, -1, 1}).shape(), (Shape{3, 2, 1}));
  EXPECT_EQ(expand_dims(x, 0).shape(), (Shape{1, 2, 3}));
  EXPECT_EQ(expand_dims(x, -1).shape(), (Shape{2, 3, 1}));
  EXPECT_EQ(expand_dims(x, 1).shape(), (Shape{2, 1, 3}));
  EXPECT_THAT(run(reshape(x, {3, 2})), ElementsAreArray(count_to(6)));
}

TEST_P(Shaping, Transpose) {
  const Value y = in(DType::kI32, {2, 3, 4}, count_to(24));
  const Value turned = transpose(y, {2, 0, 1});
  EXPECT_EQ(turned.shape(), (Shape{4, 2, 3}));
  const auto results = run({transpose(x, {1, 0}), transpose(turned, {1, 2, 0})});
  EXPECT_THAT(results[0], ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(results[1], ElementsAreArray(count_to(24)));
}

TEST_P(Shaping, BroadcastInDim) {
  EXPECT_THAT(run(broadcast_in_dim(x, {2, 2, 3}, {0, 2})),
              ElementsAre(0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5));
}

TEST_P(Shaping, ConcatAndSplitAreInverse) {
  const std::vector<Value> parts = split(x, -1, {1, 0, 2});
  EXPECT_EQ(parts[1].shape(), (Shape{2, 0}));
  const auto results = run({parts[0], parts[2], concat(parts, 1), concat({x, x}, 0)});
  EXPECT_THAT(results[0], ElementsAre(0, 3));
  EXPECT_THAT(results[1], ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(results[2], ElementsAreArray(count_to(6)));
  EXPECT_THAT(results[3], ElementsAre(0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5));
}

TEST_P(Shaping, Slices) {
  const Value line = in(DType::kI32, {7}, count_to(7));
  EXPECT_THAT(run({slice(x, 1, 1, 3), slice(x, -2, 1, 2), slice(line, 0, 1, 7, 3),
                   slice(line, 0, 0, 7, 4), slice(line, 0, 2, 2)}),
              ElementsAre(ElementsAre(1, 2, 4, 5), ElementsAre(3, 4, 5), ElementsAre(1, 4),
                          ElementsAre(0, 4), ElementsAre()));
}

TEST_P(Shaping, PadReverseRepeat) {
  EXPECT_THAT(
      run({pad(x, 1, 1, 2, -INFINITY), pad(x, 0, 0, 1), reverse(x, -1), reverse(x, 0),
           repeat(x, 0, 2), repeat(x, 1, 3)}),
      ElementsAre(ElementsAre(-INFINITY, 0, 1, 2, -INFINITY, -INFINITY, -INFINITY, 3, 4, 5,
                              -INFINITY, -INFINITY),
                  ElementsAre(0, 1, 2, 3, 4, 5, 0, 0, 0), ElementsAre(2, 1, 0, 5, 4, 3),
                  ElementsAre(3, 4, 5, 0, 1, 2), ElementsAre(0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5),
                  ElementsAre(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5)));
}

TEST(ShapingText, WhatChangesNothingIsNotWritten) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {2, 3});
  for (Value same : {reshape(x, {2, 3}), transpose(x, {0, 1}), concat({x}, 1), slice(x, 1, 0, 3),
                     split(x, 0, {2})[0], pad(x, 0, 0, 0), repeat(x, 1, 1)})
    g.output(same);
  EXPECT_EQ(g.text().find("stablehlo"), std::string::npos);
}

TEST(ShapingRefuses, WhatDoesNotFit) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {2, 3}), i = g.argument("i", DType::kI32, {2, 3});
  const Value y = g.argument("y", DType::kF32, {2, 4}), none = g.argument("n", DType::kF32, {0});
  EXPECT_EQ(refusal([&] { reshape(x, {4}); }), "[reshape] wanted 4 elements for [4], got f32[2,3]");
  EXPECT_EQ(refusal([&] {
              reshape(x, {-1, -1});
            }),
            "[reshape] only one size may be -1, got [-1,-1]");
  EXPECT_EQ(refusal([&] { reshape(x, {4, -1}); }), "[reshape] cannot view f32[2,3] as [4,-1]");
  EXPECT_EQ(refusal([&] { reshape(none, {0, -1}); }), "[reshape] cannot view f32[0] as [0,-1]");
  EXPECT_EQ(refusal([&] { reshape(x, {-2, -3}); }), "[reshape] wanted sizes >= 0, got [-2,-3]");
  EXPECT_EQ(refusal([&] { transpose(x, {1}); }), "[transpose] wanted 2 axes, got [1] for f32[2,3]");
  EXPECT_EQ(refusal([&] { transpose(x, {7, 0}); }), "[transpose] wanted a permutation, got [7, 0]");
  EXPECT_EQ(refusal([&] { transpose(x, {1, 1}); }), "[transpose] wanted a permutation, got [1, 1]");
  EXPECT_EQ(refusal([&] { expand_dims(x, 3); }), "[expand_dims] axis 3 outside f32[2,3]");
  EXPECT_EQ(refusal([&] {
              broadcast_in_dim(x, {2, 3, 4}, {0});
            }),
            "[broadcast_in_dim] wanted 2 dims, got [0]");
  EXPECT_EQ(refusal([&] {
              broadcast_in_dim(x, {3, 2}, {1, 0});
            }),
            "[broadcast_in_dim] wanted rising dims inside [3,2], got [1, 0]");
  EXPECT_EQ(refusal([&] {
              broadcast_in_dim(x, {2, 3, 4}, {0, 2});
            }),
            "[broadcast_in_dim] dims [0, 2] put f32[2,3] into [2,3,4]");
  EXPECT_EQ(refusal([&] {
              concat({x, y}, 0);
            }),
            "[concatenate] axis 0: wanted parts like f32[2,3], got f32[2,4]");
  EXPECT_EQ(refusal([&] {
              concat({x, i}, 0);
            }),
            "[concatenate] wanted parts like f32[2,3], got i32[2,3]");
  EXPECT_EQ(refusal([&] { concat({}, 0); }), "[concatenate] wanted at least one operand");
  EXPECT_EQ(refusal([&] { concat({x}, 2); }), "[concatenate] axis 2 outside f32[2,3]");
  EXPECT_EQ(refusal([&] { slice(x, 1, 2, 4); }),
            "[slice] wanted 0 <= begin <= end <= 3, got 2:4:1 of f32[2,3]");
  EXPECT_THAT(refusal([&] { slice(x, 1, 0, 3, 0); }), HasSubstr("got 0:3:0"));
  EXPECT_EQ(refusal([&] {
              split(x, 1, {1, 1});
            }),
            "[split] sizes [1, 1] sum to 2, wanted 3 of f32[2,3]");
  EXPECT_THAT(refusal([&] { split(x, 1, {4, -1}); }), HasSubstr("[slice]"));
  EXPECT_EQ(refusal([&] { pad(x, 0, -1, 0); }), "[pad] wanted sizes >= 0, got -1 and 0");
  EXPECT_EQ(refusal([&] { reverse(x, -3); }), "[reverse] axis -3 outside f32[2,3]");
  EXPECT_EQ(refusal([&] { repeat(x, 0, 0); }), "[repeat] wanted times >= 1, got 0");
}

}  // namespace
}  // namespace continuo::graph
