// The operations that graphs are made of, each on small arrays.
#include "runtime/conformance.h"

#include <cmath>
#include <initializer_list>

namespace continuo::runtime {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::Pointwise;

class ConformanceOps : public Conformance {
 protected:
  // The one output of a @main with this signature and body; `%0` is what it returns.
  std::vector<float> result(const std::string& arguments, const std::string& output,
                            const std::string& body, std::initializer_list<HostTensor> inputs) {
    auto program = compile(
        fmt::format("module {{ func.func public @main({}) -> {} {{\n{}\nreturn %0 : {} }} }}",
                    arguments, output, body, output));
    std::vector<BufferPtr> buffers;
    std::vector<Buffer*> given;
    for (const HostTensor& input : inputs) {
      buffers.push_back(upload(input));
      given.push_back(buffers.back().get());
    }
    return values(*run(*program, given)[0]);
  }
  static HostTensor ints(Shape shape, std::vector<int32_t> all) {
    return HostTensor::of<int32_t>(DType::kI32, std::move(shape), all);
  }
};

INSTANTIATE_TEST_SUITE_P(Executors, ConformanceOps, testing::ValuesIn(executors()),
                         [](const auto& each) { return std::string(each.param.name); });

TEST_P(ConformanceOps, MatrixProductsInEveryLayout) {
  const auto x = [] { return floats({2, 3}, {1, 2, 3, 4, 5, 6}); };
  EXPECT_THAT(result("%x: tensor<2x3xf32>, %w: tensor<3x2xf32>", "tensor<2x2xf32>",
                     "%0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : "
                     "(tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x2xf32>",
                     {x(), floats({3, 2}, {1, 0, 0, 1, 1, 1})}),
              ElementsAre(4, 5, 10, 11));
  EXPECT_THAT(result("%x: tensor<2x3xf32>, %w: tensor<2x3xf32>", "tensor<2x2xf32>",
                     "%0 = stablehlo.dot_general %x, %w, contracting_dims = [1] x [1] : "
                     "(tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x2xf32>",
                     {x(), floats({2, 3}, {1, 0, 1, 0, 1, 1})}),
              ElementsAre(4, 5, 10, 11));
  EXPECT_THAT(result("%x: tensor<2x1x3xf32>, %w: tensor<2x3x2xf32>", "tensor<2x1x2xf32>",
                     "%0 = stablehlo.dot_general %x, %w, batching_dims = [0] x [0], "
                     "contracting_dims = [2] x [1] : (tensor<2x1x3xf32>, tensor<2x3x2xf32>) -> "
                     "tensor<2x1x2xf32>",
                     {floats({2, 1, 3}, {1, 2, 3, 4, 5, 6}),
                      floats({2, 3, 2}, {1, 0, 0, 1, 1, 1, 2, 0, 0, 2, 2, 2})}),
              ElementsAre(4, 5, 20, 22));
}

TEST_P(ConformanceOps, HalfPrecisionProductsAddInFloat32) {
  // 256 + 1 is not a bfloat16, so a sum kept in bfloat16 would be 256.
  EXPECT_THAT(result("%x: tensor<1x2xf32>", "tensor<1x1xf32>",
                     "%x16 = stablehlo.convert %x : (tensor<1x2xf32>) -> tensor<1x2xbf16>\n"
                     "%one = stablehlo.constant dense<1.0> : tensor<2x1xbf16>\n"
                     "%0 = stablehlo.dot_general %x16, %one, contracting_dims = [1] x [0] : "
                     "(tensor<1x2xbf16>, tensor<2x1xbf16>) -> tensor<1x1xf32>",
                     {floats({1, 2}, {256, 1})}),
              ElementsAre(257));
}

TEST_P(ConformanceOps, ElementwiseFunctions) {
  const std::vector<float> x = {0.25f, -1.5f, 3.0f, 0.0f};
  const std::map<std::string, float (*)(float)> functions = {
      {"exponential", [](float v) { return std::exp(v); }},
      {"exponential_minus_one", [](float v) { return std::expm1(v); }},
      {"tanh", [](float v) { return std::tanh(v); }},
      {"logistic", [](float v) { return 1 / (1 + std::exp(-v)); }},
      {"cosine", [](float v) { return std::cos(v); }},
      {"sine", [](float v) { return std::sin(v); }},
      {"floor", [](float v) { return std::floor(v); }},
      {"abs", [](float v) { return std::abs(v); }},
      {"negate", [](float v) { return -v; }},
  };
  for (const auto& [name, function] : functions) {
    std::vector<float> wanted;
    for (const float v : x) wanted.push_back(function(v));
    EXPECT_THAT(result("%x: tensor<4xf32>", "tensor<4xf32>",
                       fmt::format("%0 = stablehlo.{} %x : tensor<4xf32>", name), {floats({4}, x)}),
                Pointwise(FloatNear(2e-6f), wanted))
        << name;
  }
}

TEST_P(ConformanceOps, IntegersWrapShiftAndDivideTowardsZero) {
  const std::string types = "%a: tensor<4xi32>, %b: tensor<4xi32>";
  const auto each = [&](const std::string& op) {
    return result(types, "tensor<4xf32>",
                  fmt::format("%1 = stablehlo.{} %a, %b : tensor<4xi32>\n%0 = stablehlo.convert "
                              "%1 : (tensor<4xi32>) -> tensor<4xf32>",
                              op),
                  {ints({4}, {7, -7, 1 << 30, 12}), ints({4}, {2, 2, 4, 5})});
  };
  EXPECT_THAT(each("divide"), ElementsAre(3, -3, 1 << 28, 2));
  EXPECT_THAT(each("remainder"), ElementsAre(1, -1, 0, 2));
  EXPECT_THAT(each("multiply"), ElementsAre(14, -14, 0, 60));
  EXPECT_THAT(each("shift_right_arithmetic"), ElementsAre(1, -2, 1 << 26, 0));
  EXPECT_THAT(each("xor"), ElementsAre(5, -5, (1 << 30) + 4, 9));
}

TEST_P(ConformanceOps, GatherTakesRows) {
  EXPECT_THAT(
      result("%table: tensor<4x2xf32>, %at: tensor<3x1xi32>", "tensor<3x2xf32>",
             "%0 = \"stablehlo.gather\"(%table, %at) <{dimension_numbers = "
             "#stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = "
             "[0], index_vector_dim = 1>, slice_sizes = array<i64: 1, 2>}> : (tensor<4x2xf32>, "
             "tensor<3x1xi32>) -> tensor<3x2xf32>",
             {floats({4, 2}, {0, 1, 2, 3, 4, 5, 6, 7}), ints({3, 1}, {3, 0, 3})}),
      ElementsAre(6, 7, 0, 1, 6, 7));
}

TEST_P(ConformanceOps, ReductionsAndPadding) {
  EXPECT_THAT(result("%x: tensor<2x3xf32>", "tensor<2xf32>",
                     "%low = stablehlo.constant dense<0xFF800000> : tensor<f32>\n"
                     "%0 = stablehlo.reduce(%x init: %low) applies stablehlo.maximum across "
                     "dimensions = [1] : (tensor<2x3xf32>, tensor<f32>) -> tensor<2xf32>",
                     {floats({2, 3}, {-5, -2, -3, 4, 9, 6})}),
              ElementsAre(-2, 9));
  EXPECT_THAT(result("%x: tensor<2xf32>", "tensor<5xf32>",
                     "%zero = stablehlo.constant dense<0.0> : tensor<f32>\n"
                     "%0 = stablehlo.pad %x, %zero, low = [2], high = [1], interior = [0] : "
                     "(tensor<2xf32>, tensor<f32>) -> tensor<5xf32>",
                     {floats({2}, {1, 2})}),
              ElementsAre(0, 0, 1, 2, 0));
}

TEST_P(ConformanceOps, ALoopCountsAsOftenAsAnArraySays) {
  const std::string loop = R"(
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %1:3 = "stablehlo.while"(%zero, %count, %x) ({
      ^bb0(%i: tensor<i32>, %n: tensor<i32>, %v: tensor<2xf32>):
        %2 = stablehlo.compare LT, %i, %n : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %2 : tensor<i1>
    }, {
      ^bb0(%j: tensor<i32>, %m: tensor<i32>, %w: tensor<2xf32>):
        %3 = stablehlo.add %j, %one : tensor<i32>
        %4 = stablehlo.add %w, %w : tensor<2xf32>
        stablehlo.return %3, %m, %4 : tensor<i32>, tensor<i32>, tensor<2xf32>
    }) : (tensor<i32>, tensor<i32>, tensor<2xf32>) -> (tensor<i32>, tensor<i32>, tensor<2xf32>)
    %0 = stablehlo.negate %1#2 : tensor<2xf32>)";
  for (const int32_t count : {0, 1, 5})
    EXPECT_THAT(result("%count: tensor<i32>, %x: tensor<2xf32>", "tensor<2xf32>", loop,
                       {ints({}, {count}), floats({2}, {1, 3})}),
                ElementsAre(-std::exp2f(static_cast<float>(count)),
                            -3 * std::exp2f(static_cast<float>(count))));
}

TEST_P(ConformanceOps, BitsSurviveACast) {
  EXPECT_THAT(result("%x: tensor<3xf32>", "tensor<3xf32>",
                     "%1 = stablehlo.bitcast_convert %x : (tensor<3xf32>) -> tensor<3xi32>\n"
                     "%mask = stablehlo.constant dense<0x7fffffff> : tensor<3xi32>\n"
                     "%2 = stablehlo.and %1, %mask : tensor<3xi32>\n"
                     "%0 = stablehlo.bitcast_convert %2 : (tensor<3xi32>) -> tensor<3xf32>",
                     {floats({3}, {-2, 0.5f, -0.0f})}),
              ElementsAre(2, 0.5f, 0));
}

}  // namespace
}  // namespace continuo::runtime
