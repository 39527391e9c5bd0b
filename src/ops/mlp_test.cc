#include "ops/mlp.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/test_step.h"

namespace continuo::ops {
namespace {

using runtime::floats;
using runtime::max_difference;
using runtime::random_f32;

constexpr int64_t kR = 2, kT = 3, kH = 5, kI = 4;

TestStep three_columns() {
  return TestStep({.rows = kR, .columns = kT, .slots = kR, .context = kT});
}

double silu_of(double x) { return x / (1 + std::exp(-x)); }

// x:[n,in] @ w:[in,out] (the device's layout) + bias.
std::vector<double> times(const std::vector<double>& x, const HostTensor& w, const float* bias) {
  const size_t in = size_t(w.shape()[0]), out = size_t(w.shape()[1]), n = x.size() / in;
  std::vector<double> y(n * out);
  for (size_t i = 0; i < n; ++i)
    for (size_t o = 0; o < out; ++o) {
      y[i * out + o] = bias != nullptr ? double(bias[o]) : 0;
      for (size_t k = 0; k < in; ++k)
        y[i * out + o] += x[i * in + k] * double(w.as<float>()[k * out + o]);
    }
  return y;
}

std::vector<double> doubles(const HostTensor& tensor) {
  const auto values = tensor.as<float>();
  return {values.begin(), values.end()};
}

std::vector<float> to_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

TEST(Activation, NamesMeanWhatHuggingFaceMeans) {
  const HostTensor xs = random_f32({33}, 1, -4, 4);
  const auto normal = [](double x) { return 0.5 * (1 + std::erf(x / std::sqrt(2.0))); };
  const auto by_tanh = [](double x) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  };
  const std::vector<std::pair<std::string, std::function<double(double)>>> known{
      {"silu", silu_of},
      {"swish", silu_of},
      {"gelu", [&](double x) { return x * normal(x); }},
      {"gelu_new", by_tanh},
      {"gelu_fast", by_tanh},
      {"gelu_pytorch_tanh", by_tanh},
      {"relu", [](double x) { return std::max(x, 0.0); }},
      {"relu2", [](double x) { return std::pow(std::max(x, 0.0), 2); }},
      {"relu_squared", [](double x) { return std::pow(std::max(x, 0.0), 2); }},
      {"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }},
      {"tanh", [](double x) { return std::tanh(x); }},
  };
  Graph g;
  const Value x = g.argument("x", DType::kF32, {33});
  for (const auto& [name, function] : known) g.output(activation(name)(x));
  const auto results = runtime::run_graph(g, {&xs});
  for (size_t i = 0; i < known.size(); ++i) {
    std::vector<float> wanted;
    for (float each : xs.as<float>()) wanted.push_back(float(known[i].second(double(each))));
    EXPECT_LE(max_difference(floats(results[i]), wanted), 2e-6) << known[i].first;
  }
  EXPECT_THROW(activation("geglu?"), CheckFailure);
}

void expect_gated(Bias bias) {
  TestStep test = three_columns();
  const Value x = test.input("x", random_f32({kR, kT, kH}, 1));
  test.give("m.g.weight", random_f32({kH, kI}, 2));
  test.give("m.u.weight", random_f32({kH, kI}, 3));
  test.give("m.d.weight", random_f32({kI, kH}, 4));
  test.give("m.g.bias", random_f32({kI}, 5));
  test.give("m.u.bias", random_f32({kI}, 6));
  test.give("m.d.bias", random_f32({kH}, 7));
  const auto result =
      test.run(gated_mlp(test.step, x, "m", kI, activation("silu"), bias, {"g", "u", "d"}));
  const auto with = [&](const char* name) {
    return bias == Bias::kYes ? test.value(name).as<float>().data() : nullptr;
  };
  std::vector<double> gate =
      times(doubles(test.value("x")), test.value("m.g.weight"), with("m.g.bias"));
  const auto up = times(doubles(test.value("x")), test.value("m.u.weight"), with("m.u.bias"));
  for (size_t i = 0; i < gate.size(); ++i) gate[i] = silu_of(gate[i]) * up[i];
  const auto wanted = times(gate, test.value("m.d.weight"), with("m.d.bias"));
  EXPECT_EQ(result[0].shape(), (Shape{kR, kT, kH}));
  EXPECT_LE(max_difference(floats(result[0]), to_floats(wanted)), 2e-6);
}

TEST(GatedMlp, WithAndWithoutBias) {
  expect_gated(Bias::kNone);
  expect_gated(Bias::kYes);
}

TEST(FusedGatedMlp, GateComesFirst) {
  TestStep test = three_columns();
  const Value x = test.input("x", random_f32({kR, kT, kH}, 1));
  test.give("gu.weight", random_f32({kH, 2 * kI}, 2));
  test.give("d.weight", random_f32({kI, kH}, 3));
  const auto result = test.run(fused_gated_mlp(test.step, x, "gu", "d", kI, activation("relu")));
  const auto both = times(doubles(test.value("x")), test.value("gu.weight"), nullptr);
  std::vector<double> inner;
  for (size_t i = 0; i < size_t(kR * kT); ++i)
    for (size_t j = 0; j < size_t(kI); ++j)
      inner.push_back(std::max(both[i * 2 * kI + j], 0.0) * both[i * 2 * kI + kI + j]);
  EXPECT_LE(
      max_difference(floats(result[0]), to_floats(times(inner, test.value("d.weight"), nullptr))),
      2e-6);
}

TEST(PlainMlp, HasNoGate) {
  TestStep test = three_columns();
  const Value x = test.input("x", random_f32({kR, kT, kH}, 1));
  test.give("u.weight", random_f32({kH, kI}, 2));
  test.give("u.bias", random_f32({kI}, 3));
  test.give("d.weight", random_f32({kI, kH}, 4));
  test.give("d.bias", random_f32({kH}, 5));
  const auto result =
      test.run(plain_mlp(test.step, x, "u", "d", kI, activation("relu2"), Bias::kYes));
  auto inner = times(doubles(test.value("x")), test.value("u.weight"),
                     test.value("u.bias").as<float>().data());
  for (double& each : inner) each = std::pow(std::max(each, 0.0), 2);
  const auto wanted = times(inner, test.value("d.weight"), test.value("d.bias").as<float>().data());
  EXPECT_LE(max_difference(floats(result[0]), to_floats(wanted)), 2e-6);
}

}  // namespace
}  // namespace continuo::ops
