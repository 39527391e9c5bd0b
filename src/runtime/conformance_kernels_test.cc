// Kernels that an executor has compute what StableHLO would, in programs of any form.
#include <cmath>
#include <functional>
#include <limits>

#include "runtime/conformance.h"
#include "runtime/test_runner.h"

namespace continuo::runtime {
namespace {

using testing::HasSubstr;

std::string product(int64_t n, int64_t in, int64_t out, bool kernel) {
  const std::string operation =
      kernel ? "\"stablehlo.custom_call\"(%x, %w) <{call_target_name = \"continuo.linear\", "
               "api_version = 4 : i32, backend_config = {}, has_side_effect = false}>"
             : "\"stablehlo.dot_general\"(%x, %w) <{dot_dimension_numbers = #stablehlo.dot<"
               "lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [1]>}>";
  return fmt::format(
      "module {{ func.func public @main(%x: tensor<{0}x{1}xf32>, %w: tensor<{2}x{1}xf32>) -> "
      "tensor<{0}x{2}xf32> {{\n  %y = {3} : (tensor<{0}x{1}xf32>, tensor<{2}x{1}xf32>) -> "
      "tensor<{0}x{2}xf32>\n  return %y : tensor<{0}x{2}xf32>\n}} }}",
      n, in, out, operation);
}

// y = x through w[0], then w[1], ... in a loop on the device, `turns` times.
std::string loop_over_experts(int turns) {
  return fmt::format(R"(module {{
  func.func public @main(%x: tensor<3x8xf32>, %w: tensor<4x8x8xf32>) -> tensor<3x8xf32> {{
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %end = stablehlo.constant dense<{}> : tensor<i32>
    %0:3 = stablehlo.while(%i = %zero, %y = %x, %all = %w)
        : tensor<i32>, tensor<3x8xf32>, tensor<4x8x8xf32>
    cond {{
      %more = stablehlo.compare LT, %i, %end : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %more : tensor<i1>
    }} do {{
      %next = stablehlo.add %i, %one : tensor<i32>
      %z = stablehlo.custom_call @continuo.linear(%y, %all, %i) {{api_version = 4 : i32}}
          : (tensor<3x8xf32>, tensor<4x8x8xf32>, tensor<i32>) -> tensor<3x8xf32>
      stablehlo.return %next, %z, %all : tensor<i32>, tensor<3x8xf32>, tensor<4x8x8xf32>
    }}
    return %0#1 : tensor<3x8xf32>
  }}
}})",
                     turns);
}

TEST_P(Conformance, LinearKernelIsTheProduct) {
  ASSERT_TRUE(executor().target().has_kernel("continuo.linear"));
  for (const auto& [n, in, out] :
       {std::array<int64_t, 3>{1, 1, 1}, {3, 7, 5}, {8, 600, 70}, {17, 64, 1000}, {2, 5000, 33}}) {
    const auto x = upload(random_f32({n, in}, 1)), w = upload(random_f32({out, in}, 2));
    std::vector<std::vector<float>> results;
    for (const bool kernel : {false, true})
      results.push_back(values(*run(*compile(product(n, in, out, kernel)), {x.get(), w.get()})[0]));
    EXPECT_LE(max_difference(results[0], results[1]), 2e-6 * std::sqrt(double(in)))
        << n << " " << in << " " << out;
  }
}

TEST_P(Conformance, LinearKernelTakesAnExpertInALoop) {
  const HostTensor x = random_f32({3, 8}, 1), w = random_f32({4, 8, 8}, 2);
  std::vector<double> wanted(x.as<float>().begin(), x.as<float>().end());
  for (size_t e = 0; e < 4; ++e) {
    std::vector<double> next(wanted.size(), 0);
    for (size_t r = 0; r < 3; ++r)
      for (size_t o = 0; o < 8; ++o)
        for (size_t i = 0; i < 8; ++i)
          next[r * 8 + o] += wanted[r * 8 + i] * double(w.as<float>()[(e * 8 + o) * 8 + i]);
    wanted = next;
  }
  const auto on_device = upload(x), experts = upload(w);
  const auto y = values(*run(*compile(loop_over_experts(4)), {on_device.get(), experts.get()})[0]);
  EXPECT_LE(max_difference(y, {wanted.begin(), wanted.end()}), 1e-4);
}

TEST_P(Conformance, LinearKernelRefusesWhatDoesNotFit) {
  const auto x = upload(random_f32({3, 8}, 1)), w = upload(random_f32({4, 8, 8}, 2));
  const auto failure = [&](Program& program) {
    auto outputs = program.run(std::vector<Buffer*>{x.get(), w.get()});
    if (!outputs.ok()) return outputs.error().message;
    const auto y = (*outputs)[0]->download();
    return y.ok() ? std::string() : y.error().message;
  };
  EXPECT_THAT(failure(*compile(loop_over_experts(5))),
              HasSubstr("[continuo.linear] wanted 0 <= e < 4, got 4"));
  const auto odd = compile(R"(module {
    func.func public @main(%x: tensor<3x8xf32>, %w: tensor<4x8x8xf32>) -> tensor<3x9xf32> {
      %y = stablehlo.custom_call @continuo.linear(%x, %w) {api_version = 4 : i32}
          : (tensor<3x8xf32>, tensor<4x8x8xf32>) -> tensor<3x9xf32>
      return %y : tensor<3x9xf32>
    } })");
  EXPECT_THAT(failure(*odd), HasSubstr("wanted float32 x:[n,in], w:[out,in], y:[n,out], got type "
                                       "11 [3,8], type 11 [4,8,8], type 11 [3,9]"));
}

// The name is found again when a program comes from the cache.
TEST_P(Conformance, LinearKernelSurvivesSerializing) {
  const auto x = upload(random_f32({2, 40}, 1)), w = upload(random_f32({50, 40}, 2));
  const auto program = compile(product(2, 40, 50, true));
  const std::string bytes = must(program->serialize());
  const auto again = must(executor().deserialize(std::as_bytes(std::span(bytes))));
  EXPECT_EQ(values(*run(*again, {x.get(), w.get()})[0]),
            values(*run(*program, {x.get(), w.get()})[0]));
}

// Two rows of one column, in slots 2 and 0 of three, with keys and values of one float each.
constexpr const char* kAttend = R"(module {
  func.func public @main(%q: tensor<2x1x2x1xf32>, %k: tensor<3x1x4x1xf32>, %v: tensor<3x1x4x1xf32>,
                         %slot: tensor<2xi32>, %start: tensor<2xi32>, %length: tensor<2xi32>)
      -> tensor<2x1x2x1xf32> {
    %y = stablehlo.custom_call @continuo.attention(%q, %k, %v, %slot, %start, %length)
        {api_version = 4 : i32, backend_config = {scale = 5.0e-01 : f32, softcap = 0.0 : f32,
                                                  window = 0 : i64}}
        : (tensor<2x1x2x1xf32>, tensor<3x1x4x1xf32>, tensor<3x1x4x1xf32>, tensor<2xi32>,
           tensor<2xi32>, tensor<2xi32>) -> tensor<2x1x2x1xf32>
    return %y : tensor<2x1x2x1xf32>
  } })";

class AttentionArguments {
 public:
  AttentionArguments(const std::function<BufferPtr(const HostTensor&)>& upload,
                     std::vector<int32_t> start) {
    const float none = std::numeric_limits<float>::quiet_NaN();
    for (const HostTensor& each :
         {f32({2, 1, 2, 1}, {1, -1, 2, 3}),
          f32({3, 1, 4, 1}, {1, 2, none, none, none, none, none, none, 3, none, none, none}),
          f32({3, 1, 4, 1}, {10, 20, none, none, none, none, none, none, 30, none, none, none}),
          i32({2}, {2, 0}), i32({2}, start), i32({2}, {1, 1})})
      buffers_.push_back(upload(each));
  }
  std::vector<Buffer*> pointers() const {
    std::vector<Buffer*> all;
    for (const BufferPtr& each : buffers_) all.push_back(each.get());
    return all;
  }

 private:
  std::vector<BufferPtr> buffers_;
};

TEST_P(Conformance, AttentionKernelReadsItsRowsAlone) {
  ASSERT_TRUE(executor().target().has_attention_kernel());
  const AttentionArguments arguments([&](const HostTensor& each) { return upload(each); }, {0, 1});
  const auto y = values(*run(*compile(kAttend), arguments.pointers())[0]);
  // Row 0 sees one key; row 1 two, whose scores are half of query times key.
  const auto mixed = [](double query) {
    const double first = std::exp(query * 0.5), second = std::exp(query);
    return float((10 * first + 20 * second) / (first + second));
  };
  EXPECT_LE(max_difference(y, {30, 30, mixed(2), mixed(3)}), 1e-5);
}

TEST_P(Conformance, AttentionKernelRefusesWhatDoesNotFit) {
  const AttentionArguments arguments([&](const HostTensor& each) { return upload(each); }, {0, 4});
  auto outputs = compile(kAttend)->run(arguments.pointers());
  std::string message = outputs.ok() ? "" : outputs.error().message;
  if (outputs.ok()) {
    const auto y = (*outputs)[0]->download();
    message = y.ok() ? "" : y.error().message;
  }
  EXPECT_THAT(message, HasSubstr("row 1: wanted a slot below 3, a length of at most 1 and an end "
                                 "of at most 4, got slot 0, start 4, length 1"));
}

}  // namespace
}  // namespace continuo::runtime
