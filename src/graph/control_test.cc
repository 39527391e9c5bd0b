#include "graph/control.h"

#include "graph/elementwise.h"
#include "graph/plugins_test.h"
#include "graph/shaping.h"

namespace continuo::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Values same(std::span<const Value> a) { return Values(a.begin(), a.end()); }

using Control = OnPlugin;
CONTINUO_ON_BOTH_PLUGINS(Control);

TEST_P(Control, WhileCarriesSeveralValues) {
  // Euclid's algorithm and its number of steps.
  const Values result = while_loop(
      {scalar(252), scalar(105), scalar(0)},
      [](std::span<const Value> a) { return compare(a[1], Compare::kNe, 0); },
      [](std::span<const Value> a) {
        return Values{a[1], remainder(a[0], a[1]), a[2] + 1};
      });
  EXPECT_THAT(run(result), ElementsAre(ElementsAre(21), ElementsAre(0), ElementsAre(3)));
}

TEST_P(Control, WhileMayNotRunAtAll) {
  const Values result = while_loop(
      {floats({4, 5})},
      [](std::span<const Value> a) { return constant(a[0].graph(), DType::kPred, 0); },
      [](std::span<const Value> a) { return Values{a[0] * 2}; });
  EXPECT_THAT(run(result[0]), ElementsAre(4, 5));
}

TEST_P(Control, ForCountsFromZero) {
  const auto body = [](Value i, std::span<const Value> a) {
    return Values{a[0] * 10 + convert(i, DType::kF32), a[1]};
  };
  const Value x = floats({0, 7}), y = floats({1});
  const Values three = for_loop(scalar(3), {x, y}, body), none = for_loop(scalar(0), {x, y}, body);
  EXPECT_EQ(three.size(), 2u);
  EXPECT_THAT(run({three[0], three[1], none[0]}),
              ElementsAre(ElementsAre(12, 7012), ElementsAre(1), ElementsAre(0, 7)));
}

TEST_P(Control, LoopsNest) {
  const Value n = scalar(3);
  const Values sum = for_loop(n, {scalar(0), n}, [](Value i, std::span<const Value> a) {
    const Values inner = for_loop(a[1], {a[0], i}, [](Value j, std::span<const Value> b) {
      return Values{b[0] + b[1] * j, b[1]};
    });
    return Values{inner[0], a[1]};
  });
  EXPECT_THAT(run(sum[0]), ElementsAre(9));  // (0+1+2)^2
}

TEST_P(Control, ConditionalChoosesSeveralResults) {
  const Value x = floats({1, 2}), y = floats({3, 4});
  const auto swap = [](std::span<const Value> a) { return Values{a[1], a[0]}; };
  const Value yes = in(DType::kPred, {}, {1}), no = in(DType::kPred, {}, {0});
  const Values kept = conditional(no, {x, y}, swap, same),
               swapped = conditional(yes, {x, y}, swap, same);
  EXPECT_THAT(
      run({kept[0], kept[1], swapped[0], swapped[1]}),
      ElementsAre(ElementsAre(1, 2), ElementsAre(3, 4), ElementsAre(3, 4), ElementsAre(1, 2)));
}

// Two conditionals on one value are two: each has its own branches.
TEST_P(Control, ConditionalsOnOnePredicateStayApart) {
  const Value x = floats({5}), yes = in(DType::kPred, {}, {1});
  const auto plus = [](std::span<const Value> a) { return Values{a[0] + 1}; };
  const auto minus = [](std::span<const Value> a) { return Values{a[0] - 1}; };
  EXPECT_THAT(run({conditional(yes, {x}, plus, same)[0], conditional(yes, {x}, minus, same)[0]}),
              ElementsAre(ElementsAre(6), ElementsAre(4)));
}

// The predicate is one result of several, "%5#1": no part of a function's name.
TEST_P(Control, ConditionalOnALoopsResult) {
  const Values found = while_loop(
      {scalar(0), in(DType::kPred, {}, {0})},
      [](std::span<const Value> a) { return logical_not(a[1]); },
      [](std::span<const Value> a) {
        return Values{a[0] + 1, compare(a[0], Compare::kGe, 3)};
      });
  const auto minus = [](std::span<const Value> a) { return Values{-a[0]}; };
  EXPECT_THAT(run(conditional(found[1], {found[0]}, minus, same)[0]), ElementsAre(-4));
}

TEST_P(Control, ConditionalInsideALoopAndInsideAnother) {
  // Collatz: the number of steps from 7 to 1; only odd numbers take the inner choice.
  const Values result = while_loop(
      {scalar(7), scalar(0)},
      [](std::span<const Value> a) { return compare(a[0], Compare::kNe, 1); },
      [](std::span<const Value> a) {
        const Value two = constant(a[0].graph(), DType::kI32, 2);
        const Value odd = compare(remainder(a[0], two), Compare::kEq, 1);
        const auto half = [](std::span<const Value> b) { return Values{b[0] / 2}; };
        const auto climb = [&](std::span<const Value> b) {
          const Value large = compare(b[0], Compare::kGt, 1000);
          return conditional(large, {b[0]}, same,
                             [](std::span<const Value> c) { return Values{c[0] * 3 + 1}; });
        };
        return Values{conditional(odd, {a[0]}, climb, half)[0], a[1] + 1};
      });
  EXPECT_THAT(run(result), ElementsAre(ElementsAre(1), ElementsAre(16)));
}

TEST_P(Control, BarriersPassValuesThrough) {
  const Value x = floats({1, 2}), n = ints({3});
  const Values both = optimization_barrier({x, n});
  EXPECT_EQ(both[1].type(), n.type());
  EXPECT_THAT(run({both[0], both[1], optimization_barrier(x)}),
              ElementsAre(ElementsAre(1, 2), ElementsAre(3), ElementsAre(1, 2)));
}

TEST(CustomCall, Prints) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {2}), n = g.argument("n", DType::kI32, {});
  const Values results = custom_call("continuo.kernel", {x, n}, {x.type(), Type{DType::kBF16, {3}}},
                                     "heads = 4 : i64", {{0, 0}});
  EXPECT_EQ(results[1].type(), (Type{DType::kBF16, {3}}));
  g.output(results[0]);
  EXPECT_THAT(g.text(),
              HasSubstr("%0:2 = \"stablehlo.custom_call\"(%arg0, %arg1) <{call_target_name = "
                        "\"continuo.kernel\", api_version = 4 : i32, backend_config = {heads = 4 : "
                        "i64}, has_side_effect = false, output_operand_aliases = "
                        "[#stablehlo.output_operand_alias<output_tuple_indices = [0], "
                        "operand_index = 0, operand_tuple_indices = []>]}> : (tensor<2xf32>, "
                        "tensor<i32>) -> (tensor<2xf32>, tensor<3xbf16>)"));
  g.output(custom_call("one", {x}, {x.type()}, "", {{0, 0}})[0]);
  EXPECT_THAT(g.text(), HasSubstr("output_tuple_indices = [], operand_index = 0"));
}

TEST(ControlRefuses, WhatDoesNotFit) {
  const auto refuses = [](const std::function<void(Graph&, Value, Value)>& build) {
    Graph g;  // its own: a refused region leaves a graph that cannot go on
    const Value x = g.argument("x", DType::kF32, {2}), n = g.argument("n", DType::kI32, {});
    return refusal([&] { build(g, x, n); });
  };
  EXPECT_EQ(refuses([](Graph&, Value x, Value) {
              while_loop(
                  {x}, [](std::span<const Value> a) { return a[0]; }, same);
            }),
            "[while] condition: wanted (tensor<i1>), got (tensor<2xf32>)");
  EXPECT_EQ(refuses([](Graph&, Value x, Value n) {
              while_loop(
                  {x, n}, [](std::span<const Value> a) { return compare(a[1], Compare::kGt, 0); },
                  [](std::span<const Value> a) { return Values{a[0]}; });
            }),
            "[while] body: wanted (tensor<2xf32>, tensor<i32>), got (tensor<2xf32>)");
  EXPECT_EQ(refuses([](Graph&, Value x, Value) {
              for_loop(x, {x}, [](Value, std::span<const Value> a) { return same(a); });
            }),
            "[for] wanted a scalar i32 count, got f32[2]");
  EXPECT_EQ(refuses([](Graph&, Value x, Value n) { conditional(n, {x}, same, same); }),
            "[if] wanted a scalar i1, got i32[]");
  EXPECT_EQ(refuses([](Graph& g, Value x, Value) {
              conditional(constant(g, DType::kPred, 1), {x}, same, [](std::span<const Value> a) {
                return Values{reshape(a[0], {2, 1})};
              });
            }),
            "[if] branches: wanted (tensor<2xf32>), got (tensor<2x1xf32>)");
  EXPECT_EQ(refuses([](Graph&, Value x, Value) {
              while_loop(
                  {x}, [&](std::span<const Value>) { return x; }, same);
            }),
            "[graph] %arg0 is used inside a region it was not passed to (type tensor<2xf32>)");
  EXPECT_EQ(refuses([](Graph&, Value x, Value) { custom_call("k", {x}, {}); }),
            "[custom_call] k: wanted at least one result");
  EXPECT_EQ(refuses([](Graph&, Value x, Value n) {
              custom_call("k", {x, n}, {x.type()}, "", {{0, 1}});
            }),
            "[custom_call] k: output 0 cannot alias operand 1");
  EXPECT_EQ(refuses([](Graph&, Value, Value) { optimization_barrier(Values{}); }),
            "[optimization_barrier] wanted at least one operand");
}

}  // namespace
}  // namespace continuo::graph
