#include "ops/ssd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "ops/test_recurrence.h"

namespace continuo::ops {
namespace {

using runtime::floats;
using runtime::random_f32;

struct Case {
  int64_t R, T, H, P, G, N;
  float a_low = -2, a_high = -0.1f, dt_low = 0, dt_high = 1;
};

using Spelling = std::function<SsdResult(const SsdInputs&)>;

struct Outcome {
  std::vector<float> y, state;
};

Inputs make_inputs(const Case& z) {
  Inputs in;
  in.emplace("x", random_f32({z.R, z.T, z.H, z.P}, 1));
  in.emplace("dt", random_f32({z.R, z.T, z.H}, 2, z.dt_low, z.dt_high));
  in.emplace("a", random_f32({z.H}, 3, z.a_low, z.a_high));
  in.emplace("b", random_f32({z.R, z.T, z.G, z.N}, 4));
  in.emplace("c", random_f32({z.R, z.T, z.G, z.N}, 5));
  in.emplace("d", random_f32({z.H}, 6));
  in.emplace("state", random_f32({z.R, z.G, z.N, z.H / z.G * z.P}, 7));
  return in;
}

Outcome run(const Inputs& in, const Spelling& spelling) {
  Graph g;
  const auto argument = [&](const char* name) {
    return g.argument(name, DType::kF32, in.at(name).shape());
  };
  const SsdInputs values{argument("x"), argument("dt"), argument("a"),    argument("b"),
                         argument("c"), argument("d"),  argument("state")};
  const SsdResult result = spelling(values);
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
  Outcome out{std::vector<float>(size_t(z.R * z.T * z.H * z.P)), floats(in.at("state"))};
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
          out.y[size_t(line)] = float(y);
        }
        for (int64_t n = 0; n < z.N; ++n) out.state[size_t(place(n))] = float(state[size_t(n)]);
      }
  return out;
}

void compare_all(const Case& z, const std::vector<int64_t>& chunks, double tolerance) {
  const Inputs in = make_inputs(z);
  const Outcome wanted = reference(z, in);
  const auto expect = [&](const std::string& name, const Spelling& spelling) {
    const Outcome got = run(in, spelling);
    EXPECT_LE(relative_difference(got.y, wanted.y), tolerance) << name;
    EXPECT_LE(relative_difference(got.state, wanted.state), tolerance) << name;
  };
  expect("naive", naive_ssd);
  for (int64_t chunk : chunks)
    expect("chunk " + std::to_string(chunk),
           [&](const SsdInputs& inputs) { return chunk_ssd(inputs, chunk); });
  if (z.T == 1) expect("step", step_ssd);
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
  Inputs in = make_inputs(z);
  auto dt = in.at("dt").as<float>();
  for (size_t i = 0; i < dt.size(); i += 37) dt[i] = 60;
  const Outcome wanted = reference(z, in);
  for (int64_t chunk : {64, 256}) {
    const Outcome got = run(in, [&](const SsdInputs& inputs) { return chunk_ssd(inputs, chunk); });
    EXPECT_LE(relative_difference(got.y, wanted.y), 1e-5);
    EXPECT_LE(relative_difference(got.state, wanted.state), 1e-5);
  }
}

TEST(Ssd, PaddingLeavesTheStateBitForBit) {
  const Case z{2, 11, 6, 5, 3, 4};
  Inputs in = make_inputs(z);
  for (float& dt : in.at("dt").as<float>()) dt = 0;
  for (const Spelling& spelling : std::vector<Spelling>{
           naive_ssd, [](const SsdInputs& inputs) { return chunk_ssd(inputs, 4); },
           [](const SsdInputs& inputs) { return chunk_ssd(inputs, 11); }})
    EXPECT_EQ(run(in, spelling).state, floats(in.at("state")));
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
