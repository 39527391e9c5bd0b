#include "ops/selective_scan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "ops/test_recurrence.h"

namespace continuo::ops {
namespace {

using runtime::floats;
using runtime::random_f32;

struct Case {
  int64_t R, T, D, N;
  float a_low = -2, a_high = -0.1f, dt_low = 0, dt_high = 1;
};

using Spelling = std::function<ScanResult(const ScanInputs&)>;

struct Outcome {
  std::vector<float> y, state;
};

Inputs make_inputs(const Case& z) {
  Inputs in;
  in.emplace("x", random_f32({z.R, z.T, z.D}, 1));
  in.emplace("dt", random_f32({z.R, z.T, z.D}, 2, z.dt_low, z.dt_high));
  in.emplace("a", random_f32({z.N, z.D}, 3, z.a_low, z.a_high));
  in.emplace("b", random_f32({z.R, z.T, z.N}, 4));
  in.emplace("c", random_f32({z.R, z.T, z.N}, 5));
  in.emplace("d", random_f32({z.D}, 6));
  in.emplace("state", random_f32({z.R, z.N, z.D}, 7));
  return in;
}

Outcome run(const Inputs& in, const Spelling& spelling) {
  Graph g;
  const auto argument = [&](const char* name) {
    return g.argument(name, DType::kF32, in.at(name).shape());
  };
  const ScanInputs values{argument("x"), argument("dt"), argument("a"),    argument("b"),
                          argument("c"), argument("d"),  argument("state")};
  const ScanResult result = spelling(values);
  g.output(result.y);
  g.output(result.state);
  std::vector<const HostTensor*> arguments;
  for (const Argument& each : g.arguments()) arguments.push_back(&in.at(each.name));
  const std::vector<HostTensor> out = runtime::run_graph(g, arguments);
  return {floats(out[0]), floats(out[1])};
}

// The definition in float64, from the float32 inputs.
Outcome reference(const Case& z, const Inputs& in) {
  const auto at = [&](const char* name, int64_t i) {
    return double(in.at(name).as<float>()[size_t(i)]);
  };
  Outcome out{std::vector<float>(size_t(z.R * z.T * z.D)), floats(in.at("state"))};
  for (int64_t row = 0; row < z.R; ++row)
    for (int64_t d = 0; d < z.D; ++d) {
      std::vector<double> state;
      for (int64_t n = 0; n < z.N; ++n) state.push_back(at("state", (row * z.N + n) * z.D + d));
      for (int64_t t = 0; t < z.T; ++t) {
        const int64_t line = (row * z.T + t) * z.D + d;
        const double dt = at("dt", line), x = at("x", line);
        double y = at("d", d) * x;
        for (int64_t n = 0; n < z.N; ++n) {
          const int64_t bc = (row * z.T + t) * z.N + n;
          state[size_t(n)] =
              std::exp(dt * at("a", n * z.D + d)) * state[size_t(n)] + dt * x * at("b", bc);
          y += at("c", bc) * state[size_t(n)];
        }
        out.y[size_t(line)] = float(y);
      }
      for (int64_t n = 0; n < z.N; ++n)
        out.state[size_t((row * z.N + n) * z.D + d)] = float(state[size_t(n)]);
    }
  return out;
}

Spelling chunked(int64_t segments, int64_t length) {
  return [=](const ScanInputs& in) { return chunk_selective_scan(in, segments, length); };
}

void compare_all(const Case& z, const std::vector<std::pair<int64_t, int64_t>>& blocks,
                 double tolerance) {
  const Inputs in = make_inputs(z);
  const Outcome wanted = reference(z, in);
  const auto expect = [&](const std::string& name, const Spelling& spelling) {
    const Outcome got = run(in, spelling);
    EXPECT_LE(relative_difference(got.y, wanted.y), tolerance) << name;
    EXPECT_LE(relative_difference(got.state, wanted.state), tolerance) << name;
  };
  expect("naive", naive_selective_scan);
  for (const auto& [segments, length] : blocks)
    expect(fmt::format("{} segments of {}", segments, length), chunked(segments, length));
  if (z.T == 1) expect("step", step_selective_scan);
}

TEST(SelectiveScan, SpellingsAgreeWithTheDefinition) {
  compare_all({3, 7, 5, 4}, {{1, 3}, {2, 2}, {3, 4}, {7, 1}}, 1e-5);
}

TEST(SelectiveScan, OneColumn) { compare_all({3, 1, 5, 4}, {{2, 2}}, 1e-5); }

TEST(SelectiveScan, LongSequencesWithDecaysNearOne) {
  compare_all({1, 4096, 6, 5, -0.01f, -0.0001f, 0, 0.1f}, {{8, 32}, {10, 30}}, 1e-4);
}

TEST(SelectiveScan, LongSequencesWithDecaysNearZero) {
  compare_all({1, 4096, 6, 5, -60, -5, 0, 4}, {{8, 32}, {10, 30}}, 1e-4);
}

TEST(SelectiveScan, LongSequencesThatForgetNowAndThen) {
  const Case z{1, 4096, 6, 5, -16, -1, 0, 0.01f};
  Inputs in = make_inputs(z);
  auto dt = in.at("dt").as<float>();
  for (size_t i = 0; i < dt.size(); i += 37) dt[i] = 60;
  const Outcome wanted = reference(z, in), got = run(in, chunked(8, 32));
  EXPECT_LE(relative_difference(got.y, wanted.y), 1e-5);
  EXPECT_LE(relative_difference(got.state, wanted.state), 1e-5);
}

TEST(SelectiveScan, PaddingLeavesTheStateBitForBit) {
  Inputs in = make_inputs({2, 11, 5, 4});
  for (float& dt : in.at("dt").as<float>()) dt = 0;
  for (const Spelling& spelling : {Spelling(naive_selective_scan), chunked(3, 2), chunked(4, 4)})
    EXPECT_EQ(run(in, spelling).state, floats(in.at("state")));
}

TEST(SelectiveScan, RefusesAStateOfOtherChannels) {
  Graph g;
  const auto argument = [&](const char* name, Shape shape) {
    return g.argument(name, DType::kF32, std::move(shape));
  };
  EXPECT_THROW(naive_selective_scan({argument("x", {1, 2, 3}),
                                     argument("dt", {1, 2, 3}),
                                     argument("a", {4, 3}),
                                     argument("b", {1, 2, 4}),
                                     argument("c", {1, 2, 4}),
                                     {},
                                     argument("s", {1, 4, 5})}),
               CheckFailure);
}

}  // namespace
}  // namespace continuo::ops
