#include "ops/delta_net.h"

#include <gtest/gtest.h>

#include "ops/test_ragged.h"

namespace continuo::ops {
namespace {

TEST(DeltaNet, JoinedConvolutionsAreThePartsOwn) {
  constexpr int64_t R = 2, T = 5, k = 3;
  Data in;
  in["x"] = random_floats({R, T, 2}, 1);
  in["y"] = random_floats({R, T, 4}, 2);
  in["w.x.weight"] = random_floats({2, 1, k}, 3);
  in["w.y.weight"] = random_floats({4, 1, k}, 4);
  in["state.s"] = random_floats({R, 6, k - 1}, 5);
  const auto got = run_rows(in, T, {4, 0}, {5, 3}, [](Step& step, const NamedValues& values) {
    return short_convs(step, {values.at("x"), values.at("y")}, {"w.x", "w.y"}, k, "s")[1];
  });
  std::vector<float> wanted;
  for (int64_t r = 0; r < R; ++r)
    for (int64_t t = 0; t < T; ++t)
      for (int64_t c = 0; c < 4; ++c) {
        double sum = 0;
        for (int64_t j = 0; j < k; ++j) {
          const int64_t from = t - (k - 1) + j;
          const double old =
              r == 1 ? 0 : in["state.s"].values[size_t((r * 6 + 2 + c) * (k - 1) + from + k - 1)];
          const double input = from < 0 ? old : in["y"].values[size_t((r * T + from) * 4 + c)];
          sum += input * in["w.y.weight"].values[size_t(c * k + j)];
        }
        wanted.push_back(float(sum / (1 + std::exp(-sum))));
      }
  // Row 1 has 3 valid columns; what stands under its padding follows the same formula.
  EXPECT_LE(relative_difference(got[0], wanted), 1e-6);
}

TEST(DeltaNet, NormComesBeforeTheGate) {
  Data in;
  in["x"] = random_floats({2, 3, 4, 5}, 1);
  in["gate"] = random_floats({2, 3, 4, 5}, 2);
  in["w.n.weight"] = random_floats({5}, 3);
  in["state.s"] = random_floats({2, 1}, 4);
  const auto got = run_rows(in, 3, {0, 0}, {3, 3}, [](Step& step, const NamedValues& values) {
    step.store_state("s", step.load_state("s", {1}));
    return norm_and_gate(step, values.at("x"), values.at("gate"), "w.n", 1e-3);
  });
  std::vector<float> wanted;
  const std::vector<float>&x = in["x"].values, &gate = in["gate"].values;
  for (size_t i = 0; i < x.size(); ++i) {
    double sum = 0;
    for (size_t j = i / 5 * 5; j < i / 5 * 5 + 5; ++j) sum += double(x[j]) * x[j];
    wanted.push_back(
        float(x[i] / std::sqrt(sum / 5 + 1e-3) * in["w.n.weight"].values[i % 5] * gate[i]));
  }
  EXPECT_LE(relative_difference(got[0], wanted), 1e-6);
}

}  // namespace
}  // namespace continuo::ops
