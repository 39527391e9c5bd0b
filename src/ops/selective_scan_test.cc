#include "ops/selective_scan.h"

#include <gmock/gmock.h>

#include <cmath>

#include "ops/test_ragged.h"

namespace continuo::ops {
namespace {

struct Case {
  int64_t R, T, D, N;
  float a_low = -2, a_high = -0.1f, dt_low = 0, dt_high = 1;
};

Data make_inputs(const Case& z) {
  Data in;
  in["x"] = random_floats({z.R, z.T, z.D}, 1);
  in["dt"] = random_floats({z.R, z.T, z.D}, 2, z.dt_low, z.dt_high);
  in["a"] = random_floats({z.N, z.D}, 3, z.a_low, z.a_high);
  in["b"] = random_floats({z.R, z.T, z.N}, 4);
  in["c"] = random_floats({z.R, z.T, z.N}, 5);
  in["d"] = random_floats({z.D}, 6);
  in["state"] = random_floats({z.R, z.N, z.D}, 7);
  return in;
}

ScanInputs of(const NamedValues& in) {
  return {in.at("x"), in.at("dt"), in.at("a"), in.at("b"), in.at("c"), in.at("d"), in.at("state")};
}

// The definition in float64, from the float32 inputs.
Outcome reference(const Case& z, const Data& in) {
  const auto at = [&](const char* name, int64_t i) {
    return double(in.at(name).values[size_t(i)]);
  };
  Outcome out{std::vector<float>(size_t(z.R * z.T * z.D)), in.at("state").values};
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
        out.out[size_t(line)] = float(y);
      }
      for (int64_t n = 0; n < z.N; ++n)
        out.state[size_t((row * z.N + n) * z.D + d)] = float(state[size_t(n)]);
    }
  return out;
}

void compare_all(const Case& z, const std::vector<std::pair<int64_t, int64_t>>& blocks,
                 double tolerance) {
  const Data in = make_inputs(z);
  expect_spellings(in, reference(z, in), tolerance, [&](const NamedValues& values) {
    std::vector<ScanResult> results{naive_selective_scan(of(values))};
    for (const auto& [segments, length] : blocks)
      results.push_back(chunk_selective_scan(of(values), segments, length));
    if (z.T == 1) results.push_back(step_selective_scan(of(values)));
    return results;
  });
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
  Data in = make_inputs(z);
  std::vector<float>& dt = in.at("dt").values;
  for (size_t i = 0; i < dt.size(); i += 37) dt[i] = 60;
  expect_spellings(in, reference(z, in), 1e-5, [](const NamedValues& values) {
    return std::vector{chunk_selective_scan(of(values), 8, 32)};
  });
}

TEST(SelectiveScan, PaddingLeavesTheStateBitForBit) {
  Data in = make_inputs({2, 11, 5, 4});
  for (float& dt : in.at("dt").values) dt = 0;
  const auto states = run_on(in, [](const NamedValues& values) {
    return std::vector{naive_selective_scan(of(values)).state,
                       chunk_selective_scan(of(values), 3, 2).state,
                       chunk_selective_scan(of(values), 4, 4).state};
  });
  EXPECT_THAT(states, testing::Each(in.at("state").values));
}

TEST(SelectiveScan, PaddingAndIdleRowsLeaveNoTrace) {
  constexpr int64_t R = 3, T = 13, D = 5, N = 4;
  Data in;
  in["x"] = random_floats({R, T, D}, 1);
  in["dt"] = random_floats({R, T, D}, 2, 0, 1);
  in["b"] = random_floats({R, T, N}, 3);
  in["c"] = random_floats({R, T, N}, 4);
  in["w.a"] = random_floats({N, D}, 5, -2, -0.1F);
  in["state.s"] = random_floats({R, N, D}, 6);
  const auto op = [](Step& step, const NamedValues& values) {
    const Value dt = select(expand_dims(step.valid(), -1), values.at("dt"),
                            constant(step.graph(), DType::kF32, 0));
    const ScanInputs inputs{step.without_padding(values.at("x")),  // as selective_scan() calls them
                            dt,
                            step.weight("w.a", {N, D}),
                            step.without_padding(values.at("b")),
                            values.at("c"),
                            {},
                            step.load_state("s", {N, D}),
                            step.valid()};
    const ScanResult result = step.target().naive_recurrences ? naive_selective_scan(inputs)
                                                              : chunk_selective_scan(inputs, 2, 2);
    step.store_state("s", result.state);
    return result.y;
  };
  expect_no_trace(in, T, op);
  expect_padding_keeps_bits(in, T, op, {"b"}, {"x", "dt"});
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
