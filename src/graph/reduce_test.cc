#include "graph/reduce.h"

#include <cmath>
#include <limits>

#include "graph/elementwise.h"
#include "graph/plugins_test.h"

namespace continuo::graph {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Pointwise;

class Reduce : public OnPlugin {
 protected:
  const Value x = in(DType::kF32, {2, 3}, {1, 5, 3, -4, 2, -6});
};
CONTINUO_ON_BOTH_PLUGINS(Reduce);

TEST_P(Reduce, AlongAxes) {
  EXPECT_EQ(reduce_sum(x, {1}, true).shape(), (Shape{2, 1}));
  EXPECT_EQ(reduce_sum(x, {-2}).shape(), (Shape{3}));
  EXPECT_THAT(
      run({reduce_sum(x, {1}), reduce_sum(x, {0}, true), reduce_sum(x, {1, 0}), reduce_max(x, {-1}),
           reduce_min(x, {0}), reduce_prod(x, {1}), mean(x, {-1}), mean(x, {0, 1}, true)}),
      ElementsAre(ElementsAre(9, -8), ElementsAre(-3, 7, -3), ElementsAre(1), ElementsAre(5, 2),
                  ElementsAre(-4, 2, -6), ElementsAre(15, 48),
                  Pointwise(DoubleNear(1e-6), Numbers{3, -8.0 / 3}),
                  Pointwise(DoubleNear(1e-6), Numbers{1.0 / 6})));
}

TEST_P(Reduce, NoAxesGiveTheSame) {
  const Numbers same{1, 5, 3, -4, 2, -6};
  for (const Numbers& result : run({reduce_sum(x, {}), reduce_max(x, {}, true), mean(x, {})}))
    EXPECT_THAT(result, ElementsAreArray(same));
}

TEST_P(Reduce, NoElementsGiveTheNeutralOne) {
  const Value none = in(DType::kF32, {2, 0}, {}), i = in(DType::kI64, {0}, {});
  const Value u = in(DType::kU8, {0}, {}), p = in(DType::kPred, {0}, {});
  EXPECT_THAT(run({reduce_sum(none, {1}), reduce_max(none, {1}), reduce_min(none, {1}),
                   reduce_prod(none, {1}), reduce_max(i, {0}), reduce_min(i, {0}),
                   reduce_max(u, {0}), reduce_min(u, {0}), reduce_any(p, {0}), reduce_all(p, {0})}),
              ElementsAre(ElementsAre(0, 0), ElementsAre(-INFINITY, -INFINITY),
                          ElementsAre(INFINITY, INFINITY), ElementsAre(1, 1),
                          ElementsAre(-std::ldexp(1.0, 63)), ElementsAre(std::ldexp(1.0, 63)),
                          ElementsAre(0), ElementsAre(255), ElementsAre(0), ElementsAre(1)));
}

TEST_P(Reduce, EveryDtype) {
  std::vector<Value> outputs;
  for (DType dtype :
       {DType::kI8, DType::kU8, DType::kI16, DType::kU16, DType::kI32, DType::kU32, DType::kI64,
        DType::kU64, DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    const Value each = in(dtype, {3}, {3, 7, 2});
    for (auto function : {reduce_sum, reduce_max, reduce_min, reduce_prod})
      outputs.push_back(function(each, {0}, false));
  }
  const auto results = run(outputs);
  for (size_t i = 0; i < results.size(); i += 4) {
    EXPECT_THAT(results[i], ElementsAre(12)) << i;
    EXPECT_THAT(results[i + 1], ElementsAre(7)) << i;
    EXPECT_THAT(results[i + 2], ElementsAre(2)) << i;
    EXPECT_THAT(results[i + 3], ElementsAre(42)) << i;
  }
}

TEST_P(Reduce, AnyAndAll) {
  const Value p = in(DType::kPred, {3, 2}, {0, 0, 0, 1, 1, 1});
  EXPECT_THAT(run({reduce_any(p, {1}), reduce_all(p, {1}), reduce_max(p, {1}), reduce_min(p, {1})}),
              ElementsAre(ElementsAre(0, 1, 1), ElementsAre(0, 0, 1), ElementsAre(0, 1, 1),
                          ElementsAre(0, 0, 1)));
}

TEST_P(Reduce, ArgmaxTakesTheFirstOfEqualOnes) {
  const Value y =
      in(DType::kF32, {4, 3}, {1, 9, 9, 7, 7, 7, -INFINITY, -INFINITY, -INFINITY, 0, INFINITY, 3});
  const Value nan = floats({1, NAN, 2});
  const Value first = argmax(y, -1);
  EXPECT_EQ(first.type(), (Type{DType::kI32, {4}}));
  const auto results =
      run({first, argmax(y, 0), argmax(in(DType::kU8, {3}, {1, 200, 3}), 0), argmax(nan, 0)});
  EXPECT_THAT(results[0], ElementsAre(1, 0, 0, 1));
  EXPECT_THAT(results[1], ElementsAre(1, 3, 0));
  EXPECT_THAT(results[2], ElementsAre(1));
  EXPECT_THAT(results[3], ElementsAre(testing::AllOf(testing::Ge(0), testing::Le(2))));
}

TEST_P(Reduce, SoftmaxNeitherOverflowsNorLeaksMaskedPlaces) {
  const Value y = in(DType::kF32, {2, 3}, {1000, 1000, -INFINITY, -2, 0, 2});
  const auto results = run({softmax(y, -1), softmax(y, 0)});
  const double total = std::exp(-2) + 1 + std::exp(2);
  EXPECT_THAT(results[0], Pointwise(DoubleNear(1e-6), Numbers{0.5, 0.5, 0, std::exp(-2) / total,
                                                              1 / total, std::exp(2) / total}));
  EXPECT_THAT(results[1], Pointwise(DoubleNear(1e-6), Numbers{1, 1, 0, 0, 0, 1}));
}

TEST_P(Reduce, CumsumOfAnySize) {
  std::vector<Value> outputs;
  for (int size : {1, 2, 3, 8, 13}) outputs.push_back(cumsum(floats(Numbers(size_t(size), 2)), 0));
  outputs.push_back(cumsum(x, 0));
  outputs.push_back(cumsum(x, -1));
  const auto results = run(outputs);
  for (size_t i = 0; i < 5; ++i)
    for (size_t j = 0; j < results[i].size(); ++j) EXPECT_EQ(results[i][j], 2.0 * double(j + 1));
  EXPECT_THAT(results[5], ElementsAre(1, 5, 3, -3, 7, -3));
  EXPECT_THAT(results[6], ElementsAre(1, 6, 9, -4, -2, -8));
}

TEST_P(Reduce, SortsAreStableAndCarryOthers) {
  const Value keys = in(DType::kF32, {2, 4}, {3, 1, 3, 2, 0, 0, -1, 0});
  const Value places = iota(g, DType::kI32, {2, 4}, 1);
  const auto up = sort(keys, {places}, -1, false), down = sort(keys, {places}, 1, true);
  const auto columns = sort(keys, {}, 0, false);
  EXPECT_THAT(run({up[0], up[1], down[0], down[1], columns[0]}),
              ElementsAre(ElementsAre(1, 2, 3, 3, -1, 0, 0, 0), ElementsAre(1, 3, 0, 2, 2, 0, 1, 3),
                          ElementsAre(3, 3, 2, 1, 0, 0, 0, -1), ElementsAre(0, 2, 3, 1, 0, 1, 3, 2),
                          ElementsAre(0, 0, -1, 0, 3, 1, 3, 2)));
}

TEST_P(Reduce, TopKPrefersTheLowerIndex) {
  const TopK top = top_k(in(DType::kF32, {2, 5}, {1, 7, 7, -2, 7, 4, 4, 4, 4, 4}), 3);
  EXPECT_EQ(top.values.shape(), (Shape{2, 3}));
  EXPECT_EQ(top.indices.dtype(), DType::kI32);
  EXPECT_THAT(run({top.values, top.indices}),
              ElementsAre(ElementsAre(7, 7, 7, 4, 4, 4), ElementsAre(1, 2, 4, 0, 1, 2)));
}

TEST(ReduceRefuses, WhatDoesNotFit) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {2, 3}), p = g.argument("p", DType::kPred, {2});
  const Value i = g.argument("i", DType::kI32, {3}), none = g.argument("n", DType::kF32, {2, 0});
  EXPECT_EQ(refusal([&] { reduce_sum(x, {2}); }), "[reduce] axis 2 outside f32[2,3]");
  EXPECT_EQ(refusal([&] { reduce_max(x, {1, -1}); }), "[reduce] axes repeat: [1, 1]");
  EXPECT_EQ(refusal([&] { reduce_sum(p, {0}); }), "[reduce_sum] wanted numbers, got i1[2]");
  EXPECT_EQ(refusal([&] { reduce_prod(p, {0}); }), "[reduce_prod] wanted numbers, got i1[2]");
  EXPECT_EQ(refusal([&] { reduce_any(x, {0}); }), "[reduce_any] wanted i1, got f32[2,3]");
  EXPECT_EQ(refusal([&] { reduce_all(x, {0}); }), "[reduce_all] wanted i1, got f32[2,3]");
  EXPECT_EQ(refusal([&] { mean(i, {0}); }), "[mean] wanted floating point, got i32[3]");
  EXPECT_EQ(refusal([&] { mean(none, {1}); }), "[mean] wanted at least one element, got f32[2,0]");
  EXPECT_EQ(refusal([&] { argmax(x, 2); }), "[argmax] axis 2 outside f32[2,3]");
  EXPECT_EQ(refusal([&] { argmax(none, 1); }),
            "[argmax] wanted at least one element, got f32[2,0]");
  EXPECT_EQ(refusal([&] { cumsum(x, -3); }), "[cumsum] axis -3 outside f32[2,3]");
  EXPECT_EQ(refusal([&] { sort(x, {i}, 0, true); }), "[sort] wanted operands of [2,3], got i32[3]");
  EXPECT_EQ(refusal([&] { top_k(x, 4); }), "[top_k] wanted 1 <= k <= 3, got k=4 for f32[2,3]");
  EXPECT_THAT(refusal([&] { top_k(x, 0); }), HasSubstr("got k=0"));
  EXPECT_THAT(refusal([&] { softmax(i, 0); }), HasSubstr("wanted floating point, got i32[3]"));
}

}  // namespace
}  // namespace continuo::graph
