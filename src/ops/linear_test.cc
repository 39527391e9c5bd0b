#include "ops/linear.h"

#include <gtest/gtest.h>

#include "ops/test_step.h"

namespace continuo::ops {
namespace {

using runtime::floats;
using runtime::max_difference;
using runtime::random_f32;

constexpr int64_t kR = 2, kT = 3, kIn = 5, kOut = 4;
const StepShape kShape{.rows = kR, .columns = kT, .slots = kR, .context = kT};

// x:[R,T,in], w as it lies on the device -> [R,T,out]
std::vector<float> plain_linear(const HostTensor& x, const HostTensor& w, bool out_in,
                                const HostTensor* bias) {
  std::vector<float> y;
  for (size_t n = 0; n < size_t(kR * kT); ++n)
    for (size_t o = 0; o < size_t(kOut); ++o) {
      double sum = bias != nullptr ? double(bias->as<float>()[o]) : 0;
      for (size_t i = 0; i < size_t(kIn); ++i)
        sum += double(x.as<float>()[n * kIn + i]) *
               double(w.as<float>()[out_in ? o * kIn + i : i * kOut + o]);
      y.push_back(float(sum));
    }
  return y;
}

void expect_linear(bool out_in, Bias bias, bool present) {
  Target target;
  target.linear_out_in = out_in;
  TestStep test(kShape, target,
                [&](const std::string& name) { return present && name == "l.bias"; });
  const Value x = test.input("x", random_f32({kR, kT, kIn}, 1));
  test.give("l.weight", random_f32(out_in ? Shape{kOut, kIn} : Shape{kIn, kOut}, 2));
  test.give("l.bias", random_f32({kOut}, 3));
  const auto result = test.run(linear(test.step, x, "l", kOut, bias));
  const bool biased = bias == Bias::kYes || (bias == Bias::kIfPresent && present);
  EXPECT_EQ(result[0].shape(), (Shape{kR, kT, kOut}));
  EXPECT_LE(max_difference(floats(result[0]),
                           plain_linear(test.value("x"), test.value("l.weight"), out_in,
                                        biased ? &test.value("l.bias") : nullptr)),
            1e-6);
  const WeightSpec& weight = test.step.weights()[0];
  EXPECT_EQ(weight.source_shape, (Shape{kOut, kIn}));  // the checkpoint's layout
  EXPECT_EQ(weight.transpose, !out_in);
}

TEST(Linear, BothLayoutsAndEveryBias) {
  for (bool out_in : {false, true})
    for (Bias bias : {Bias::kNone, Bias::kYes, Bias::kIfPresent})
      for (bool present : {false, true}) expect_linear(out_in, bias, present);
}

TEST(Linear, OneRowAsSumsIsTheProduct) {
  const StepShape shape{.rows = 1, .columns = 1, .slots = 1, .context = 1};
  std::vector<std::vector<float>> results;
  for (const bool sums : {false, true}) {
    Target target;
    target.linear_out_in = true;
    target.one_row_as_sums = sums;
    TestStep test(shape, target);
    const Value y = linear(test.step, test.input("x", random_f32({1, 1, 37}, 1)), "l", 11);
    test.give("l.weight", random_f32({11, 37}, 2));
    results.push_back(floats(test.run(y)[0]));
    EXPECT_EQ(test.step.graph().text().find("dot_general") == std::string::npos, sums);
  }
  EXPECT_EQ(results[0].size(), 11u);
  EXPECT_LE(max_difference(results[0], results[1]), 1e-6);
}

// The kernel against StableHLO's product, on either side of where it gives way to it.
TEST(Linear, FewRowsAreTheKernels) {
  const std::vector<std::string> kernels = runtime::test_executor().target().kernels;
  if (kernels.empty()) GTEST_SKIP() << "this executor has no kernels";
  for (const int64_t rows : {1, 2, 7, 24, 25}) {
    std::vector<std::vector<float>> results;
    for (const bool kernel : {false, true}) {
      Target target;
      target.linear_out_in = true;
      if (kernel) target.kernels = kernels;
      TestStep test({.rows = rows, .columns = 1, .slots = rows, .context = 1}, target);
      const Value y = linear(test.step, test.input("x", random_f32({rows, 1, 37}, 1)), "l", 11);
      test.give("l.weight", random_f32({11, 37}, 2));
      results.push_back(floats(test.run(y)[0]));
      EXPECT_EQ(test.step.graph().text().find("continuo.linear") != std::string::npos,
                kernel && rows <= 24);
    }
    EXPECT_EQ(results[0].size(), size_t(rows * 11));
    EXPECT_LE(max_difference(results[0], results[1]), 1e-6);
  }
}

TEST(ExpertMatmul, TakesOneExpert) {
  constexpr int64_t E = 3, n = 2;
  const HostTensor w = random_f32({E, kOut, kIn}, 2), x = random_f32({n, kIn}, 1);
  for (const bool kernel : {false, true}) {
    Target target;
    if (kernel) target.kernels = runtime::test_executor().target().kernels;
    for (int32_t e = 0; e < E; ++e) {
      TestStep test(kShape, target);
      const ExpertMatrix experts{test.input("w", random_f32({E, kOut, kIn}, 2)), kIn, kOut, true};
      const Value y = expert_matmul(test.step, test.input("x", random_f32({n, kIn}, 1)), experts,
                                    test.input("e", runtime::i32({}, {e})));
      const auto got = floats(test.run(y)[0]);
      std::vector<float> wanted;
      for (int64_t row = 0; row < n; ++row)
        for (int64_t o = 0; o < kOut; ++o) {
          double sum = 0;
          for (int64_t i = 0; i < kIn; ++i)
            sum += double(x.as<float>()[size_t(row * kIn + i)]) *
                   double(w.as<float>()[size_t((e * kOut + o) * kIn + i)]);
          wanted.push_back(float(sum));
        }
      EXPECT_LE(max_difference(got, wanted), 1e-6);
    }
  }
}

TEST(Embedding, TakesRowsAndReadsThemBackAsAHead) {
  constexpr int64_t V = 7;
  TestStep test(kShape);
  test.give("tokens", runtime::i32({kR, kT}, {6, 0, 3, 3, 5, 1}));
  test.give("e", random_f32({V, kIn}, 1));
  const Value x = embedding(test.step, "e", V, kIn);
  test.step.graph().output(x);
  const auto results = test.run(embedding_head(test.step, x, "e", V));
  EXPECT_EQ(test.step.weights().size(), 1u);  // a tied table is one argument
  const auto table = test.value("e").as<float>();
  std::vector<float> rows, head;
  for (int32_t token : test.value("tokens").as<int32_t>()) {
    const auto row = table.subspan(size_t(token * kIn), size_t(kIn));
    rows.insert(rows.end(), row.begin(), row.end());
    for (size_t v = 0; v < size_t(V); ++v) {
      double sum = 0;
      for (size_t i = 0; i < size_t(kIn); ++i) sum += double(row[i]) * double(table[v * kIn + i]);
      head.push_back(float(sum));
    }
  }
  EXPECT_EQ(floats(results[0]), rows);
  EXPECT_EQ(results[1].shape(), (Shape{kR, kT, V}));
  EXPECT_LE(max_difference(floats(results[1]), head), 1e-6);
}

TEST(ExpertMatrix, AsksForTheLayoutTheDeviceWants) {
  for (bool out_in : {false, true}) {
    Target target;
    target.linear_out_in = out_in;
    TestStep test(kShape, target);
    const ExpertMatrix apart = expert_matrix(test.step, "a", {"a.0", "a.1", "a.2"}, kIn, kOut);
    const ExpertMatrix together = expert_matrix_stacked(test.step, "b", 3, kIn, kOut, false);
    const ExpertMatrix turned = expert_matrix_stacked(test.step, "c", 3, kIn, kOut, true);
    const Shape wanted = out_in ? Shape{3, kOut, kIn} : Shape{3, kIn, kOut};
    for (const ExpertMatrix& matrix : {apart, together, turned}) {
      EXPECT_EQ(matrix.weight.shape(), wanted);
      EXPECT_EQ(matrix.out_in, out_in);
    }
    const auto& weights = test.step.weights();
    EXPECT_EQ(weights[0].sources.size(), 3u);
    EXPECT_EQ(weights[0].source_shape, (Shape{kOut, kIn}));
    EXPECT_EQ(weights[0].transpose, !out_in);
    EXPECT_EQ(weights[1].source_shape, (Shape{3, kOut, kIn}));
    EXPECT_EQ(weights[1].transpose, !out_in);
    EXPECT_EQ(weights[2].source_shape, (Shape{3, kIn, kOut}));
    EXPECT_EQ(weights[2].transpose, out_in);
  }
}

TEST(Matmul, RefusesSizesThatDoNotFit) {
  TestStep test(kShape);
  Graph& g = test.step.graph();
  const Value x = g.argument("x", DType::kF32, {3, kIn});
  const Value w = g.argument("w", DType::kF32, {kOut, kIn});
  EXPECT_THROW(matmul(test.step, x, w, false), CheckFailure);
  EXPECT_EQ(matmul(test.step, x, w, true).shape(), (Shape{3, kOut}));
}

}  // namespace
}  // namespace continuo::ops
