#include "ops/norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "runtime/test_runner.h"

namespace continuo::ops {
namespace {

using runtime::floats;
using runtime::max_difference;
using runtime::random_f32;
using runtime::run_graph;

TEST(Norm, RmsWithOffsetIsWhatItSays) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {3, 7, 5}), w = g.argument("w", DType::kF32, {5});
  g.output(rms_norm(x, w, 1e-5, 1));
  const HostTensor xs = random_f32({3, 7, 5}, 1), ws = random_f32({5}, 2);
  std::vector<float> wanted;
  for (int i = 0; i < 21; ++i) {
    double sum = 0;
    for (int d = 0; d < 5; ++d) sum += std::pow(xs.as<float>()[size_t(5 * i + d)], 2);
    for (int d = 0; d < 5; ++d)
      wanted.push_back(float(xs.as<float>()[size_t(5 * i + d)] / std::sqrt(sum / 5 + 1e-5) *
                             (1 + ws.as<float>()[size_t(d)])));
  }
  EXPECT_LE(max_difference(floats(run_graph(g, {&xs, &ws})[0]), wanted), 1e-6);
}

// Lines of `width`, each to what `line` makes of it.
std::vector<float> by_lines(const HostTensor& x, size_t width,
                            const std::function<void(std::vector<double>&)>& line) {
  std::vector<float> result;
  for (size_t i = 0; i < x.as<float>().size(); i += width) {
    const auto part = x.as<float>().subspan(i, width);
    std::vector<double> values(part.begin(), part.end());
    line(values);
    result.insert(result.end(), values.begin(), values.end());
  }
  return result;
}

double mean_of(const std::vector<double>& values, const std::function<double(double)>& of) {
  double sum = 0;
  for (double value : values) sum += of(value);
  return sum / double(values.size());
}

TEST(Norm, LayerNormWithAndWithoutItsParts) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {3, 7, 5}), w = g.argument("w", DType::kF32, {5}),
              b = g.argument("b", DType::kF32, {5});
  g.output(layer_norm(x, w, b, 1e-3));
  g.output(layer_norm(x, w, {}, 1e-3));
  g.output(layer_norm(x, {}, {}, 1e-3));
  const HostTensor xs = random_f32({3, 7, 5}, 1, 2, 5), ws = random_f32({5}, 2),
                   bs = random_f32({5}, 3);
  const auto results = run_graph(g, {&xs, &ws, &bs});
  for (size_t variant = 0; variant < 3; ++variant) {
    const auto wanted = by_lines(xs, 5, [&](std::vector<double>& v) {
      const double mean = mean_of(v, [](double e) { return e; });
      const double variance = mean_of(v, [&](double e) { return (e - mean) * (e - mean); });
      for (size_t d = 0; d < 5; ++d)
        v[d] = (v[d] - mean) / std::sqrt(variance + 1e-3) *
                   (variant < 2 ? double(ws.as<float>()[d]) : 1) +
               (variant < 1 ? double(bs.as<float>()[d]) : 0);
    });
    EXPECT_LE(max_difference(floats(results[variant]), wanted), 5e-6) << variant;
  }
}

TEST(Norm, L2DividesByTheLengthAndNotByTheMean) {
  Graph g;
  g.output(l2_norm(g.argument("x", DType::kF32, {3, 2, 7}), 1e-2));
  const HostTensor xs = random_f32({3, 2, 7}, 1);
  const auto wanted = by_lines(xs, 7, [](std::vector<double>& v) {
    const double length = 7 * mean_of(v, [](double e) { return e * e; });
    for (double& each : v) each /= std::sqrt(length + 1e-2);
  });
  EXPECT_LE(max_difference(floats(run_graph(g, {&xs})[0]), wanted), 1e-6);
}

TEST(Norm, GroupsAreNormedApart) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {2, 3, 12}), w = g.argument("w", DType::kF32, {12});
  g.output(group_rms_norm(x, w, 3, 1e-3));
  const HostTensor xs = random_f32({2, 3, 12}, 1), ws = random_f32({12}, 2);
  const auto wanted = by_lines(xs, 12, [&](std::vector<double>& v) {
    for (size_t first = 0; first < 12; first += 4) {
      const std::vector<double> group(v.begin() + long(first), v.begin() + long(first) + 4);
      const double square = mean_of(group, [](double e) { return e * e; });
      for (size_t d = first; d < first + 4; ++d)
        v[d] *= double(ws.as<float>()[d]) / std::sqrt(square + 1e-3);
    }
  });
  EXPECT_LE(max_difference(floats(run_graph(g, {&xs, &ws})[0]), wanted), 1e-6);
  EXPECT_THROW(group_rms_norm(x, w, 5, 1e-3), CheckFailure);
}

}  // namespace
}  // namespace continuo::ops
