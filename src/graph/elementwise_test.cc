#include "graph/elementwise.h"

#include <cmath>
#include <limits>

#include "graph/plugins_test.h"

namespace continuo::graph {
namespace {

using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::NanSensitiveDoubleEq;
using testing::Pointwise;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr DType kAll[] = {DType::kPred, DType::kI8,  DType::kU8,  DType::kI16, DType::kU16,
                          DType::kI32,  DType::kU32, DType::kI64, DType::kU64, DType::kF16,
                          DType::kBF16, DType::kF32, DType::kF64};

using Elementwise = OnPlugin;
CONTINUO_ON_BOTH_PLUGINS(Elementwise);

Numbers map(const Numbers& numbers, double (*function)(double)) {
  Numbers results;
  for (double each : numbers) results.push_back(function(each));
  return results;
}

double error(const Numbers& got, const Numbers& wanted) {
  double worst = got.size() == wanted.size() ? 0 : kInf;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (got[i] == wanted[i]) continue;
    const double difference = std::abs(got[i] - wanted[i]) / std::max(1.0, std::abs(wanted[i]));
    worst = difference <= worst ? worst : std::isnan(difference) ? kInf : difference;
  }
  return worst;
}

TEST_P(Elementwise, UnaryFunctions) {
  using Op = std::pair<Value (*)(Value), double (*)(double)>;
  const std::vector<Op> ops{
      {exp, std::exp},
      {expm1, std::expm1},
      {tanh, std::tanh},
      {cos, std::cos},
      {sin, std::sin},
      {floor, std::floor},
      {ceil, std::ceil},
      {abs, std::abs},
      {erf, std::erf},
      {neg, [](double x) { return -x; }},
      {sign, [](double x) { return double((x > 0) - (x < 0)); }},
      {sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }},
      {softplus, [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }},
      {silu, [](double x) { return x / (1 + std::exp(-x)); }},
      {relu, [](double x) { return std::max(x, 0.0); }},
      {gelu, [](double x) { return x * 0.5 * (1 + std::erf(x / std::sqrt(2))); }},
      {gelu_tanh,
       [](double x) {
         return x * 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
       }},
      {square, [](double x) { return x * x; }}};
  const Numbers numbers{-60, -3.5, -1, -0.25, 0, 0.25, 0.5, 1, 2.75, 60};
  const Value x = floats(numbers);
  std::vector<Value> outputs;
  for (const Op& op : ops) outputs.push_back(op.first(x));
  const auto results = run(outputs);
  for (size_t i = 0; i < ops.size(); ++i)
    EXPECT_LE(error(results[i], map(numbers, ops[i].second)), 1e-5) << "function " << i;
}

TEST_P(Elementwise, FunctionsOfPositiveNumbers) {
  const Numbers numbers{1e-6, 0.5, 1, 7, 1e9};
  const Value x = floats(numbers);
  const auto results = run({log(x), log1p(x), sqrt(x), rsqrt(x)});
  EXPECT_LE(error(results[0], map(numbers, std::log)), 1e-6);
  EXPECT_LE(error(results[1], map(numbers, std::log1p)), 1e-6);
  EXPECT_LE(error(results[2], map(numbers, std::sqrt)), 1e-6);
  EXPECT_LE(error(results[3], map(numbers, [](double v) { return 1 / std::sqrt(v); })), 1e-6);
}

TEST_P(Elementwise, LimitsStayLimits) {
  const Value x = floats({-kInf, kInf});
  EXPECT_THAT(run({exp(x), tanh(x), sigmoid(x), softplus(x), relu(x)}),
              ElementsAre(ElementsAre(0, kInf), ElementsAre(-1, 1), ElementsAre(0, 1),
                          ElementsAre(0, kInf), ElementsAre(0, kInf)));
}

TEST_P(Elementwise, LiteralsOfEveryFloat) {
  std::vector<Value> outputs;
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32, DType::kF64})
    for (double value : {kInf, -kInf, kNan, -0.375, 0.0}) {
      outputs.push_back(fill(g, dtype, {2}, value));
    }
  const auto results = run(outputs);
  for (size_t i = 0; i < results.size(); i += 5) {
    EXPECT_THAT(results[i], Each(kInf));
    EXPECT_THAT(results[i + 1], Each(-kInf));
    EXPECT_THAT(results[i + 2], Each(NanSensitiveDoubleEq(kNan)));
    EXPECT_THAT(results[i + 3], Each(-0.375));
    EXPECT_THAT(results[i + 4], Each(0));
  }
}

TEST_P(Elementwise, LiteralsKeepEveryBit) {
  const double third = 1.0 / 3, f32_third = double(1.0f / 3);
  const auto results = run({constant(g, DType::kF64, third), constant(g, DType::kF32, f32_third),
                            constant(g, DType::kF32, 1e-45), constant(g, DType::kI64, 1e15 + 1),
                            constant(g, DType::kU64, std::ldexp(1.0, 63)),
                            constant(g, DType::kI8, -128), constant(g, DType::kU8, 255),
                            constant(g, DType::kPred, 1), constant(g, DType::kPred, 0)});
  EXPECT_THAT(results,
              ElementsAre(ElementsAre(third), ElementsAre(f32_third),
                          ElementsAre(double(std::numeric_limits<float>::denorm_min())),
                          ElementsAre(1e15 + 1), ElementsAre(std::ldexp(1.0, 63)),
                          ElementsAre(-128), ElementsAre(255), ElementsAre(1), ElementsAre(0)));
}

TEST(Constant, RefusesWhatAnIntegerCannotHold) {
  Graph g;
  EXPECT_EQ(refusal([&] { constant(g, DType::kI8, 128); }),
            "[constant] wanted a value of i8, got 128");
  EXPECT_EQ(refusal([&] { constant(g, DType::kU16, -1); }),
            "[constant] wanted a value of ui16, got -1");
  EXPECT_EQ(refusal([&] { constant(g, DType::kI64, std::ldexp(1.0, 63)); }).substr(0, 10),
            "[constant]");
  EXPECT_THAT(refusal([&] { constant(g, DType::kI32, kInf); }), HasSubstr("got inf"));
  EXPECT_THAT(refusal([&] { constant(g, DType::kI32, kNan); }), HasSubstr("got nan"));
  const Value n = g.argument("n", DType::kI32, {});
  EXPECT_EQ(refusal([&] { n * 0.5; }), "[constant] wanted a value of i32, got 0.5");
}

TEST_P(Elementwise, ArraysOfConstants) {
  const std::vector<float> floats_in{0, -1.5f, 1e-40f, 3.4e38f, -INFINITY, 7};
  const std::vector<int32_t> ints_in{0, -1, std::numeric_limits<int32_t>::min()};
  const auto results =
      run({constant_f32(g, {2, 3}, floats_in), constant_i32(g, {3}, ints_in),
           constant_f32(g, {1}, std::vector<float>{4}), constant_f32(g, {0}, std::vector<float>{}),
           constant_f32(g, {4}, std::vector<float>{2, 2, 2, 2})});
  EXPECT_THAT(results[0], ElementsAreArray(floats_in));
  EXPECT_THAT(results[1], ElementsAreArray(ints_in));
  EXPECT_THAT(results[2], ElementsAre(4));
  EXPECT_THAT(results[3], ElementsAre());
  EXPECT_THAT(results[4], ElementsAre(2, 2, 2, 2));
  EXPECT_EQ(refusal([&] {
              constant_f32(g, {3}, std::vector<float>{1, 2});
            }),
            "[constant] shape [3] of f32 wants 12 bytes, got 8");
}

TEST_P(Elementwise, Iota) {
  const auto results = run({iota(g, DType::kI32, {2, 3}, 1), iota(g, DType::kF32, {2, 3}, 0)});
  EXPECT_THAT(results[0], ElementsAre(0, 1, 2, 0, 1, 2));
  EXPECT_THAT(results[1], ElementsAre(0, 0, 0, 1, 1, 1));
  EXPECT_EQ(refusal([&] { iota(g, DType::kI32, {2, 3}, 2); }), "[iota] axis 2 outside shape [2,3]");
  EXPECT_EQ(refusal([&] { iota(g, DType::kPred, {2}, 0); }), "[iota] wanted numbers, got i1");
}

TEST_P(Elementwise, BinaryFunctions) {
  const Value x = floats({7, -7, 0.5, 9}), y = floats({2, 2, -4, 3});
  EXPECT_THAT(
      run({x + y, x - y, x * y, x / y, maximum(x, y), minimum(x, y), remainder(x, y),
           power(abs(y), x), 1.0 - y, y / 2, y - 1}),
      ElementsAre(ElementsAre(9, -5, -3.5, 12), ElementsAre(5, -9, 4.5, 6),
                  ElementsAre(14, -14, -2, 27), ElementsAre(3.5, -3.5, -0.125, 3),
                  ElementsAre(7, 2, 0.5, 9), ElementsAre(2, -7, -4, 3), ElementsAre(1, -1, 0.5, 0),
                  Pointwise(DoubleNear(1e-2), Numbers{128, 1.0 / 128, 2, 19683}),
                  ElementsAre(-1, -1, 5, -2), ElementsAre(1, 1, -2, 1.5),
                  ElementsAre(1, 1, -5, 2)));
}

TEST_P(Elementwise, BitwiseAndLogical) {
  const Value x = ints({12, -1}), y = ints({10, 1});
  const Value p = in(DType::kPred, {4}, {0, 0, 1, 1}), q = in(DType::kPred, {4}, {0, 1, 0, 1});
  EXPECT_THAT(run({logical_and(x, y), logical_or(x, y), logical_xor(x, y), shift_left(x, y),
                   shift_right(x, y), logical_not(x), logical_and(p, q), logical_or(p, q),
                   logical_xor(p, q), logical_not(p)}),
              ElementsAre(ElementsAre(8, 1), ElementsAre(14, -1), ElementsAre(6, -2),
                          ElementsAre(12288, -2), ElementsAre(0, 2147483647), ElementsAre(-13, 0),
                          ElementsAre(0, 0, 0, 1), ElementsAre(0, 1, 1, 1), ElementsAre(0, 1, 1, 0),
                          ElementsAre(1, 1, 0, 0)));
}

TEST_P(Elementwise, BroadcastsAsNumpyDoes) {
  const Value x = in(DType::kF32, {2, 1, 3}, {1, 2, 3, 4, 5, 6}),
              y = in(DType::kF32, {2, 1}, {10, 20});
  const Value one = in(DType::kF32, {1, 1}, {100}), none = in(DType::kF32, {0, 1, 1}, {});
  const Value sum = x + y;
  EXPECT_EQ(sum.shape(), (Shape{2, 2, 3}));
  EXPECT_EQ((none + y).shape(), (Shape{0, 2, 1}));
  EXPECT_THAT(run({sum, broadcast_to(one, {2, 2}), one + constant(g, DType::kF32, 1)}),
              ElementsAre(ElementsAre(11, 12, 13, 21, 22, 23, 14, 15, 16, 24, 25, 26),
                          ElementsAre(100, 100, 100, 100), ElementsAre(101)));
}

TEST(Broadcast, RefusesWhatDoesNotFit) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {2, 3}), y = g.argument("y", DType::kF32, {2});
  EXPECT_EQ(refusal([&] { x + y; }), "[add] shapes do not broadcast: [2,3] and [2]");
  EXPECT_EQ(refusal([&] { broadcast_to(x, {2}); }), "[broadcast] cannot stretch f32[2,3] to [2]");
  EXPECT_EQ(refusal([&] {
              broadcast_to(x, {2, 2, 4});
            }),
            "[broadcast] cannot stretch f32[2,3] to [2,2,4]");
  EXPECT_EQ(broadcast_to(x, {2, 3}).type(), x.type());
}

TEST_P(Elementwise, ComparesEveryDtype) {
  std::vector<Value> outputs;
  for (DType dtype : kAll) {
    const bool pred = dtype == DType::kPred;
    const Value x = in(dtype, {3}, pred ? Numbers{0, 1, 1} : Numbers{1, 2, 3});
    const Value y = in(dtype, {3}, pred ? Numbers{1, 1, 0} : Numbers{2, 2, 2});
    for (Compare how :
         {Compare::kEq, Compare::kNe, Compare::kLt, Compare::kLe, Compare::kGt, Compare::kGe})
      outputs.push_back(compare(x, how, y));
  }
  const auto results = run(outputs);
  for (size_t i = 0; i < results.size(); i += 6) {
    SCOPED_TRACE(name(kAll[i / 6]));
    EXPECT_THAT(results[i], ElementsAre(0, 1, 0));
    EXPECT_THAT(results[i + 1], ElementsAre(1, 0, 1));
    EXPECT_THAT(results[i + 2], ElementsAre(1, 0, 0));
    EXPECT_THAT(results[i + 3], ElementsAre(1, 1, 0));
    EXPECT_THAT(results[i + 4], ElementsAre(0, 0, 1));
    EXPECT_THAT(results[i + 5], ElementsAre(0, 1, 1));
  }
}

// Where signed and unsigned order differ, and where nothing is ordered.
TEST_P(Elementwise, ComparesTopBitsAndNan) {
  const Value u = in(DType::kU8, {2}, {200, 100}), s = in(DType::kI8, {2}, {-56, 100});
  const Value n = floats({kNan, 1});
  EXPECT_THAT(
      run({compare(u, Compare::kGt, 127), compare(s, Compare::kGt, 0), compare(n, Compare::kEq, n),
           compare(n, Compare::kLt, kInf), compare(n, Compare::kNe, n)}),
      ElementsAre(ElementsAre(1, 0), ElementsAre(0, 1), ElementsAre(0, 1), ElementsAre(0, 1),
                  ElementsAre(1, 0)));
}

TEST_P(Elementwise, ConvertsBetweenDtypes) {
  std::vector<Value> outputs;
  for (DType from : kAll) {
    const Value x = in(from, {2}, {0, 1});
    for (DType to : kAll) outputs.push_back(convert(x, to));
  }
  const Value f = floats({-2.75, 3.9, 1.00390625, 65519});
  const size_t first = outputs.size();
  for (DType to : {DType::kI32, DType::kBF16, DType::kF16, DType::kPred})
    outputs.push_back(convert(f, to));
  const auto results = run(outputs);
  for (size_t i = 0; i < first; ++i) EXPECT_THAT(results[i], ElementsAre(0, 1)) << i;
  EXPECT_THAT(results[first], ElementsAre(-2, 3, 1, 65519));
  EXPECT_THAT(results[first + 1], ElementsAre(-2.75, 3.90625, 1, 65536));  // to nearest even
  EXPECT_THAT(results[first + 2], ElementsAre(-2.75, 3.900390625, 1.00390625, 65504));
  EXPECT_THAT(results[first + 3], ElementsAre(1, 1, 1, 1));
}

TEST_P(Elementwise, BitcastsKeepBits) {
  const Value x = floats({1, -0.0, kInf}), h = in(DType::kBF16, {1}, {-2});
  EXPECT_THAT(run({bitcast(x, DType::kI32), bitcast(bitcast(x, DType::kU32), DType::kF32),
                   bitcast(h, DType::kU16)}),
              ElementsAre(ElementsAre(0x3f800000, -2147483648.0, 0x7f800000),
                          ElementsAre(1, 0, kInf), ElementsAre(0xc000)));
  EXPECT_EQ(refusal([&] { bitcast(x, DType::kI64); }),
            "[bitcast_convert] wanted a dtype of the same size, got f32[3] to i64");
}

TEST_P(Elementwise, SelectBroadcastsAllThree) {
  const Value p = in(DType::kPred, {2, 1}, {1, 0}), a = floats({1, 2, 3});
  const Value b = in(DType::kF32, {}, {9});
  EXPECT_THAT(
      run({select(p, a, b), clamp(a, 1.5, 2.5), clamp(ints({-5, 0, 5}), -1, 1)}),
      ElementsAre(ElementsAre(1, 2, 3, 9, 9, 9), ElementsAre(1.5, 2, 2.5), ElementsAre(-1, 0, 1)));
}

TEST(ElementwiseDtypes, AreChecked) {
  Graph g;
  const Value f = g.argument("f", DType::kF32, {3}), i = g.argument("i", DType::kI32, {3});
  const Value u = g.argument("u", DType::kU8, {3}), p = g.argument("p", DType::kPred, {3});
  EXPECT_EQ(refusal([&] { exp(i); }), "[exponential] wanted floating point, got i32[3]");
  EXPECT_EQ(refusal([&] { floor(u); }), "[floor] wanted floating point, got ui8[3]");
  EXPECT_EQ(refusal([&] { abs(u); }), "[abs] wanted signed numbers, got ui8[3]");
  EXPECT_EQ(refusal([&] { neg(p); }), "[negate] wanted numbers, got i1[3]");
  EXPECT_EQ(refusal([&] { logical_not(f); }), "[not] wanted integers or i1, got f32[3]");
  EXPECT_EQ(refusal([&] { f + i; }), "[add] wanted one dtype, got f32[3] and i32[3]");
  EXPECT_EQ(refusal([&] { p + p; }), "[add] wanted numbers, got i1[3]");
  EXPECT_EQ(refusal([&] { shift_left(f, f); }), "[shift_left] wanted integers or i1, got f32[3]");
  EXPECT_EQ(refusal([&] { compare(f, Compare::kLt, i); }),
            "[compare] wanted one dtype, got f32[3] and i32[3]");
  EXPECT_EQ(refusal([&] { select(i, f, f); }), "[select] wanted a pred of i1, got i32[3]");
  EXPECT_EQ(refusal([&] { select(p, f, i); }), "[select] wanted one dtype, got f32[3] and i32[3]");
  EXPECT_EQ(refusal([&] { clamp(f, 2, 1); }), "[clamp] wanted low <= high, got 2 and 1");
}

}  // namespace
}  // namespace continuo::graph
