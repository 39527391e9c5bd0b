#include "ops/ssd.h"

#include <gmock/gmock.h>

#include <cmath>

#include "ops/test_ragged.h"

namespace continuo::ops {
namespace {

struct Case {
  int64_t R, T, H, P, G, N;
  float a_low = -2, a_high = -0.1f, dt_low = 0, dt_high = 1;
};

Data make_inputs(const Case& z) {
  Data in;
  in["x"] = random_floats({z.R, z.T, z.H, z.P}, 1);
  in["dt"] = random_floats({z.R, z.T, z.H}, 2, z.dt_low, z.dt_high);
  in["a"] = random_floats({z.H}, 3, z.a_low, z.a_high);
  in["b"] = random_floats({z.R, z.T, z.G, z.N}, 4);
  in["c"] = random_floats({z.R, z.T, z.G, z.N}, 5);
  in["d"] = random_floats({z.H}, 6);
  in["state"] = random_floats({z.R, z.G, z.N, z.H / z.G * z.P}, 7);
  return in;
}

SsdInputs of(const NamedValues& in) {
  return {in.at("x"), in.at("dt"), in.at("a"), in.at("b"), in.at("c"), in.at("d"), in.at("state")};
}

// The definition in float64, from the float32 inputs.
Outcome reference(const Case& z, const Data& in) {
  const auto at = [&](const char* name, int64_t i) {
    return double(in.at(name).values[size_t(i)]);
  };
  Outcome out{std::vector<float>(size_t(z.R * z.T * z.H * z.P)), in.at("state").values};
  const int64_t r = z.H / z.G;
  for (int64_t row = 0; row < z.R; ++row)
    for (int64_t h = 0; h < z.H; ++h)
      for (int64_t p = 0; p < z.P; ++p) {
        const int64_t group = h / r;
        const auto place = [&](int64_t n) {
          return ((row * z.G + group) * z.N + n) * r * z.P + (h % r) * z.P + p;
        };
        std::vector<double> state;
        for (int64_t n = 0; n < z.N; ++n) state.push_back(at("state", place(n)));
        for (int64_t t = 0; t < z.T; ++t) {
          const double dt = at("dt", (row * z.T + t) * z.H + h);
          const int64_t line = ((row * z.T + t) * z.H + h) * z.P + p;
          const double x = at("x", line), decay = std::exp(dt * at("a", h));
          double y = at("d", h) * x;
          for (int64_t n = 0; n < z.N; ++n) {
            const int64_t bc = ((row * z.T + t) * z.G + group) * z.N + n;
            state[size_t(n)] = decay * state[size_t(n)] + dt * x * at("b", bc);
            y += at("c", bc) * state[size_t(n)];
          }
          out.out[size_t(line)] = float(y);
        }
        for (int64_t n = 0; n < z.N; ++n) out.state[size_t(place(n))] = float(state[size_t(n)]);
      }
  return out;
}

void compare_all(const Case& z, const std::vector<int64_t>& chunks, double tolerance) {
  const Data in = make_inputs(z);
  expect_spellings(in, reference(z, in), tolerance, [&](const NamedValues& values) {
    std::vector<SsdResult> results{naive_ssd(of(values))};
    for (const int64_t chunk : chunks) {
      results.push_back(chunk_ssd(of(values), chunk));
      results.push_back(parallel_ssd(of(values), chunk));
    }
    if (z.T == 1) results.push_back(step_ssd(of(values)));
    return results;
  });
}

TEST(Ssd, SpellingsAgreeWithTheDefinition) { compare_all({3, 7, 6, 5, 2, 4}, {1, 3, 7, 16}, 1e-5); }

TEST(Ssd, OneColumn) { compare_all({3, 1, 6, 5, 2, 4}, {4}, 1e-5); }

TEST(Ssd, LongSequencesWithDecaysNearOne) {
  compare_all({1, 4096, 4, 3, 2, 5, -0.01f, -0.0001f, 0, 0.1f}, {64, 100, 256}, 1e-4);
}

TEST(Ssd, LongSequencesWithDecaysNearZero) {
  compare_all({1, 4096, 4, 3, 1, 5, -60, -5, 0, 4}, {64, 100, 256}, 1e-4);
}

// Steps of both kinds side by side: large sums must not swallow the small terms beside them.
TEST(Ssd, LongSequencesThatForgetNowAndThen) {
  const Case z{1, 4096, 4, 3, 1, 5, -16, -1, 0, 0.01f};
  Data in = make_inputs(z);
  std::vector<float>& dt = in.at("dt").values;
  for (size_t i = 0; i < dt.size(); i += 37) dt[i] = 60;
  expect_spellings(in, reference(z, in), 1e-5, [](const NamedValues& values) {
    return std::vector{chunk_ssd(of(values), 64), chunk_ssd(of(values), 256),
                       parallel_ssd(of(values), 64)};
  });
}

TEST(Ssd, PaddingLeavesTheStateBitForBit) {
  Data in = make_inputs({2, 11, 6, 5, 3, 4});
  for (float& dt : in.at("dt").values) dt = 0;
  const auto states = run_on(in, [](const NamedValues& values) {
    return std::vector{naive_ssd(of(values)).state, chunk_ssd(of(values), 4).state,
                       chunk_ssd(of(values), 11).state, parallel_ssd(of(values), 4).state};
  });
  EXPECT_THAT(states, testing::Each(in.at("state").values));
}

struct RaggedCase {
  static constexpr int64_t T = 13;
  Data in;
  WriteStep op;
};

RaggedCase ragged_case(const std::function<SsdResult(Step&, SsdInputs)>& spelling) {
  constexpr int64_t R = 3, T = RaggedCase::T, H = 6, P = 5, G = 2, N = 4;
  Data in;
  in["x"] = random_floats({R, T, H, P}, 1);
  in["dt"] = random_floats({R, T, H}, 2, 0, 1);
  in["b"] = random_floats({R, T, G, N}, 3);
  in["c"] = random_floats({R, T, G, N}, 4);
  in["w.a"] = random_floats({H}, 5, -2, -0.1F);
  in["state.s"] = random_floats({R, G, N, H / G * P}, 6);
  const auto op = [=](Step& step, const NamedValues& values) {
    const Value dt = select(expand_dims(step.valid(), -1), values.at("dt"),
                            constant(step.graph(), DType::kF32, 0));
    const Value state = step.load_state("s", {G, N, H / G * P});
    const SsdResult result = spelling(step, {values.at("x"),
                                             dt,
                                             step.weight("w.a", {H}),
                                             values.at("b"),
                                             values.at("c"),
                                             {},
                                             state,
                                             step.valid()});
    step.store_state("s", result.state);
    return result.y;
  };
  return {in, op};
}

TEST(Ssd, PaddingAndIdleRowsLeaveNoTrace) {
  const RaggedCase z =
      ragged_case([](Step& step, const SsdInputs& in) { return ssd(step, in, 4); });
  expect_no_trace(z.in, z.T, z.op);
  expect_padding_keeps_bits(z.in, z.T, z.op, {"b"}, {"x", "dt"});
}

TEST(Ssd, PaddingAndIdleRowsLeaveNoTraceInParallel) {
  const RaggedCase z = ragged_case([](Step& step, SsdInputs in) {  // as ssd() calls it
    for (Value* part : {&in.x, &in.b}) *part = step.without_padding(*part);
    return parallel_ssd(in, 4);
  });
  expect_no_trace(z.in, z.T, z.op, false);
}

TEST(Ssd, RefusesGroupsThatDoNotDivideTheHeads) {
  Graph g;
  const auto argument = [&](const char* name, Shape shape) {
    return g.argument(name, DType::kF32, std::move(shape));
  };
  EXPECT_THROW(naive_ssd({argument("x", {1, 2, 3, 4}),
                          argument("dt", {1, 2, 3}),
                          argument("a", {3}),
                          argument("b", {1, 2, 2, 5}),
                          argument("c", {1, 2, 2, 5}),
                          {},
                          argument("s", {1, 2, 5, 4})}),
               CheckFailure);
}

}  // namespace
}  // namespace continuo::ops
