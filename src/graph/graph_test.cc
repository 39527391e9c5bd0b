#include "graph/graph.h"

#include "graph/control.h"
#include "graph/elementwise.h"
#include "graph/plugins_test.h"
#include "graph/shaping.h"

namespace continuo::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Type, Prints) {
  EXPECT_EQ((Type{DType::kF32, {3, 7}}.str()), "tensor<3x7xf32>");
  EXPECT_EQ((Type{DType::kPred, {}}.str()), "tensor<i1>");
  EXPECT_EQ((Type{DType::kBF16, {0, 1}}.str()), "tensor<0x1xbf16>");
}

TEST(Value, DescribesItself) {
  Graph g;
  const Value x = g.argument("x", DType::kU8, {3, 7});
  EXPECT_EQ(x.describe(), "ui8[3,7]");
  EXPECT_EQ(Value().describe(), "empty");
  EXPECT_EQ(x.dim(-1), 7);
  EXPECT_EQ(x.dim(0), 3);
  EXPECT_EQ(refusal([&] { x.dim(2); }), "[value] dimension 2 outside ui8[3,7]");
  EXPECT_EQ(refusal([&] { x.dim(-3); }), "[value] dimension -3 outside ui8[3,7]");
  EXPECT_THAT(refusal([] { Value().type(); }), HasSubstr("an empty Value was used"));
  EXPECT_THAT(refusal([] { Value() + 1; }), HasSubstr("an empty Value was used"));
}

TEST(Graph, PrintsAWholeModule) {
  Graph g("tiny");
  const Value x = g.argument("weights.x", DType::kF32, {2});
  g.comment("twice");
  g.output(x + x);
  EXPECT_EQ(g.text(), R"(module @tiny {
  // %arg0 weights.x
  func.func public @main(
      %arg0: tensor<2xf32>) -> (tensor<2xf32>) {
    // twice
    %0 = stablehlo.add %arg0, %arg0 : tensor<2xf32>
    return %0 : tensor<2xf32>
  }
}
)");
}

std::string several_calls() {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {3}), n = g.argument("n", DType::kI32, {});
  const Value p = compare(n, Compare::kGt, 2);
  const Values looped =
      for_loop(n, {x}, [](Value, std::span<const Value> a) { return Values{a[0] * 2 + 1}; });
  const auto same = [](std::span<const Value> a) { return Values{a[0]}; };
  const auto other = [](std::span<const Value> a) { return Values{-a[0]}; };
  g.output(conditional(p, looped, same, other)[0]);
  g.output(g.call("b", std::vector<Value>{x}, same)[0]);
  g.output(g.call("a", std::vector<Value>{x}, other)[0]);
  return g.text();
}

TEST(Graph, SameCallsGiveTheSameBytes) { EXPECT_EQ(several_calls(), several_calls()); }

TEST(Graph, ConstantsAreWrittenOnceAScope) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {});
  const Value sum = x * 3 + x * 3;
  g.output(for_loop(constant(g, DType::kI32, 2), {sum}, [](Value, std::span<const Value> a) {
    return Values{a[0] * 3 - a[0] * 3};
  })[0]);
  EXPECT_EQ(count(g.text(), "dense<3.0"), 2u);  // one in main, one in the loop's body
}

TEST(Graph, DonationsAndShardingsAreArgumentAttributes) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {4}), s = g.argument("s", DType::kF32, {4});
  g.argument("unused", DType::kI32, {});
  g.set_sharding(0, "#sdy.sharding<@mesh, [{\"tp\"}]>");
  g.set_sharding(1, "#sdy.sharding<@mesh, [{}]>");
  g.output(x);
  g.output(s + x, 1);
  EXPECT_EQ(g.arguments()[1].alias, 1);
  EXPECT_EQ(g.arguments()[0].alias, -1);
  const std::string text = g.text();
  EXPECT_THAT(text,
              HasSubstr("%arg0: tensor<4xf32> {sdy.sharding = #sdy.sharding<@mesh, [{\"tp\"}]>}"));
  EXPECT_THAT(text, HasSubstr("%arg1: tensor<4xf32> {tf.aliasing_output = 1 : i32, sdy.sharding = "
                              "#sdy.sharding<@mesh, [{}]>}"));
  EXPECT_THAT(text, HasSubstr("%arg2: tensor<i32>)"));
}

TEST(Graph, RefusesWrongOutputs) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {4});
  const Value y = g.argument("y", DType::kF32, {5});
  EXPECT_EQ(refusal([&] { g.text(); }), "[graph] wanted at least one output");
  EXPECT_EQ(refusal([&] { g.output(y, 0); }),
            "[output] x is donated: wanted tensor<4xf32>, got tensor<5xf32>");
  EXPECT_EQ(refusal([&] { g.output(y, 2); }), "[output] no argument 2");
  g.output(x + 1, 0);
  EXPECT_EQ(refusal([&] { g.output(x + 2, 0); }), "[output] x is donated twice");
  EXPECT_EQ(refusal([&] { g.set_sharding(2, ""); }), "[sharding] no argument 2");
}

TEST(Graph, RefusesWrongArguments) {
  Graph g;
  g.argument("x", DType::kF32, {4});
  EXPECT_EQ(refusal([&] { g.argument("x", DType::kF32, {4}); }), "[argument] x is declared twice");
  EXPECT_THAT(refusal([&] { g.argument("y\nz", DType::kF32, {4}); }), HasSubstr("[argument]"));
  EXPECT_THAT(refusal([&] { g.comment("one\ntwo"); }), HasSubstr("[comment] wanted one line"));
  EXPECT_EQ(refusal([&] {
              g.argument("n", DType::kF32, {2, -1});
            }),
            "[graph] sizes must not be negative, got [2,-1]");
  const int64_t large = int64_t{1} << 31;
  EXPECT_THAT(refusal([&] {
                g.argument("l", DType::kF64, {large, large});
              }),
              HasSubstr("is too large"));
}

TEST(Graph, ValuesStayInTheirGraphAndRegion) {
  Graph g, other;
  const Value x = g.argument("x", DType::kF32, {}), y = other.argument("y", DType::kF32, {});
  EXPECT_THAT(refusal([&] { add(x, y); }), HasSubstr("[add] operands belong to different graphs"));
  EXPECT_THAT(refusal([&] { g.output(y); }), HasSubstr("a value of another graph was used"));
  const auto uses = [&](Value captured) {
    return [captured](std::span<const Value>) { return Values{captured}; };
  };
  EXPECT_THAT(refusal([&] { g.region({x.type()}, uses(x)); }),
              HasSubstr("[graph] %arg0 is used inside a region it was not passed to"));
  EXPECT_THAT(refusal([&] { Graph().region({}, uses(y)); }), HasSubstr("another graph"));
  Graph third;
  EXPECT_THAT(refusal([&] { third.call("f", std::vector<Value>{y}, uses(y)); }),
              HasSubstr("another graph"));
}

TEST(Graph, RegionsCannotTouchTheModule) {
  const auto inside = [](const std::function<void(Graph&, Value)>& action) {
    Graph g;
    return refusal([&] {
      g.region({Type{DType::kF32, {}}}, [&](std::span<const Value> a) {
        action(g, a[0]);
        return Values{a[0]};
      });
    });
  };
  EXPECT_THAT(inside([](Graph& g, Value) { g.argument("x", DType::kF32, {}); }),
              HasSubstr("[argument]"));
  EXPECT_THAT(inside([](Graph& g, Value a) { g.output(a); }), HasSubstr("[output]"));
  EXPECT_THAT(inside([](Graph& g, Value) { g.text(); }), HasSubstr("inside a region"));
  Graph g;
  EXPECT_EQ(refusal([&] { g.region({}, [](std::span<const Value>) { return Values{}; }); }),
            "[region] wanted at least one result");
}

TEST(Graph, FunctionsAreWrittenOnce) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {3}), y = g.argument("y", DType::kF32, {4});
  int written = 0;
  const auto twice = [&](std::span<const Value> a) {
    ++written;
    return Values{a[0] + a[0]};
  };
  g.output(g.call("twice", g.call("twice", std::vector<Value>{x}, twice), twice)[0]);
  EXPECT_EQ(written, 1);
  EXPECT_EQ(count(g.text(), "func.func private @twice"), 1u);
  EXPECT_EQ(count(g.text(), "func.call @twice"), 2u);
  EXPECT_EQ(refusal([&] { g.call("twice", std::vector<Value>{y}, twice); }),
            "[call] twice: wanted (tensor<3xf32>), got (tensor<4xf32>)");
  EXPECT_EQ(refusal([&] {
              g.call("none", std::vector<Value>{y},
                     [](std::span<const Value>) { return Values{}; });
            }),
            "[call] none: wanted at least one result");
}

using Graphs = OnPlugin;
CONTINUO_ON_BOTH_PLUGINS(Graphs);

TEST_P(Graphs, CallsAFunctionTwice) {
  const Value x = floats({1, 2}), y = floats({10, 20});
  const auto both = [](std::span<const Value> a) { return Values{a[0] + a[1], a[0] * a[1]}; };
  const Values first = g.call("both", std::vector<Value>{x, y}, both);
  const Values second = g.call("both", first, both);
  EXPECT_THAT(run({first[0], first[1], second[0], second[1]}),
              ElementsAre(ElementsAre(11, 22), ElementsAre(10, 40), ElementsAre(21, 62),
                          ElementsAre(110, 880)));
}

TEST_P(Graphs, AFunctionMayCallAnother) {
  const Value x = floats({3});
  const auto square_plus = [](std::span<const Value> a) {
    const Values squared = a[0].graph().call(
        "square", a, [](std::span<const Value> b) { return Values{b[0] * b[0]}; });
    return Values{squared[0] + 1};
  };
  EXPECT_THAT(run(g.call("square_plus", std::vector<Value>{x}, square_plus)[0]), ElementsAre(10));
}

// The donated argument's new value comes back at its output, whatever the order.
TEST_P(Graphs, DonatedArgumentsBecomeTheirOutputs) {
  const Value x = floats({1, 2}), state = floats({5, 6});
  g.output(x * 2);
  g.output(state + x, 1);
  EXPECT_THAT(g.text(), HasSubstr("tf.aliasing_output = 1 : i32"));
  EXPECT_THAT(run_declared(), ElementsAre(ElementsAre(2, 4), ElementsAre(6, 8)));
}

TEST_P(Graphs, EmptyArraysPass) {
  const Value x = in(DType::kF32, {0, 3}, {}), y = in(DType::kF32, {2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_THAT(run({x + 1, concat({x, y}, 0)}),
              ElementsAre(ElementsAre(), ElementsAre(1, 2, 3, 4, 5, 6)));
}

}  // namespace
}  // namespace continuo::graph
