#include "ops/rg_lru.h"

#include <gtest/gtest.h>

#include "ops/test_ragged.h"

namespace continuo::ops {
namespace {

constexpr int64_t R = 3, heads = 2, D = 6;

Data random_inputs(int64_t rows, int64_t columns) {
  Data in;
  in["g"] = log_decays({rows, columns, D}, 1);
  in["x"] = random_floats({rows, columns, D}, 2);
  in["state"] = random_floats({rows, D}, 3);
  return in;
}

Outcome oracle(const Data& in) {
  const Shape& shape = in.at("x").shape;
  std::vector<double> out, state = doubles(in.at("state"));
  for (int64_t r = 0; r < shape[0]; ++r)
    for (int64_t t = 0; t < shape[1]; ++t)
      for (int64_t d = 0; d < D; ++d) {
        const size_t at = size_t((r * shape[1] + t) * D + d);
        double& h = state[size_t(r * D + d)];
        h = std::exp(double(in.at("g").values[at])) * h + in.at("x").values[at];
        out.push_back(h);
      }
  return {narrowed(out), narrowed(state)};
}

RgLruInputs of(const NamedValues& in) { return {in.at("g"), in.at("x"), in.at("state")}; }

TEST(RgLru, SpellingsFollowTheFloat64Scan) {
  for (const int64_t T : {1, 37}) {
    const Data in = random_inputs(R, T);
    expect_spellings(in, oracle(in), 1e-6, [&](const NamedValues& values) {
      std::vector<RgLruResult> results{naive_rg_lru(of(values)), chunk_rg_lru(of(values), 4),
                                       chunk_rg_lru(of(values), 32)};
      if (T == 1) results.push_back(step_rg_lru(of(values)));
      return results;
    });
  }
}

TEST(RgLru, LongChunksStayExact) {
  const Data in = random_inputs(1, 4096);
  expect_spellings(in, oracle(in), 1e-5, [](const NamedValues& values) {
    return std::vector{chunk_rg_lru(of(values), 32)};
  });
}

Data unit_inputs(int64_t columns) {
  constexpr int64_t block = D / heads;
  Data in;
  in["x"] = random_floats({R, columns, D}, 4);
  in["state.s"] = random_floats({R, D}, 5);
  in["w.input_gate_weight"] = random_floats({heads, block, block}, 6);
  in["w.input_gate_bias"] = random_floats({heads, block}, 7);
  in["w.recurrent_gate_weight"] = random_floats({heads, block, block}, 8);
  in["w.recurrent_gate_bias"] = random_floats({heads, block}, 9);
  in["w.recurrent_param"] = random_floats({D}, 10, -3, 3);
  return in;
}

Value unit(Step& step, const NamedValues& values) {
  return rg_lru(step, "s", values.at("x"), "w", heads);
}

TEST(RgLru, PaddingAndIdleRowsLeaveNoTrace) {
  expect_no_trace(unit_inputs(13), 13, unit);
  expect_padding_keeps_bits(unit_inputs(13), 13, unit, {"x"}, {});
}

// The gates by their definition, for a row that goes on (start 3) and one that starts.
TEST(RgLru, GatesAreBlockDiagonalAndTheFirstInputIsNotScaled) {
  constexpr int64_t T = 4, block = D / heads;
  const Data in = unit_inputs(T);
  const auto got = run_rows(in, T, {3, 0, 7}, {4, 4, 4}, unit);
  const auto at = [&](const char* name, int64_t index) {
    return double(in.at(name).values[size_t(index)]);
  };
  const auto gate = [&](const std::string& which, int64_t row, int64_t t, int64_t d) {
    const int64_t head = d / block;
    double sum = at(("w." + which + "_gate_bias").c_str(), d);
    for (int64_t i = 0; i < block; ++i)
      sum += at("x", (row * T + t) * D + head * block + i) *
             at(("w." + which + "_gate_weight").c_str(), (head * block + i) * block + d % block);
    return 1 / (1 + std::exp(-sum));
  };
  std::vector<float> wanted;
  for (int64_t row = 0; row < R; ++row) {
    std::vector<double> h(D, 0);
    for (int64_t d = 0; d < D && row != 1; ++d) h[size_t(d)] = at("state.s", row * D + d);
    for (int64_t t = 0; t < T; ++t)
      for (int64_t d = 0; d < D; ++d) {
        const double a = std::exp(-8 * gate("recurrent", row, t, d) *
                                  std::log1p(std::exp(at("w.recurrent_param", d))));
        const double scale = row == 1 && t == 0 ? 1 : std::sqrt(1 - a * a);
        h[size_t(d)] =
            a * h[size_t(d)] + scale * gate("input", row, t, d) * at("x", (row * T + t) * D + d);
        wanted.push_back(float(h[size_t(d)]));
      }
  }
  EXPECT_LE(relative_difference(got[0], wanted), 1e-5);
}

}  // namespace
}  // namespace continuo::ops
