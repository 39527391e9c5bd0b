#include "ops/delta_rule.h"

#include <gtest/gtest.h>

#include "ops/test_low_rank_scan.h"
#include "ops/test_ragged.h"

namespace continuo::ops {
namespace {

constexpr int64_t R = 3, Hk = 2, H = 4, K = 5, V = 6;

Data random_inputs(int64_t rows, int64_t columns, bool channels) {
  Data in;
  in["q"] = random_floats({rows, columns, Hk, K}, 1);
  in["k"] = unit_vectors({rows, columns, Hk, K}, 2);
  in["v"] = random_floats({rows, columns, H, V}, 3);
  in["g"] = log_decays(channels ? Shape{rows, columns, H, K} : Shape{rows, columns, H}, 4);
  in["beta"] = random_floats({rows, columns, H}, 5, 0, 2);
  in["state"] = random_floats({rows, H, K, V}, 6);
  return in;
}

// As a low-rank scan: a = -beta k exp(g), b = k, v scaled by beta.
Outcome oracle(const Data& in) {
  const Shape& shape = in.at("v").shape;
  const bool channels = in.at("g").shape.rank() == 4;
  LowRankScan scan{shape[0],
                   shape[1],
                   H,
                   K,
                   V,
                   {},
                   {},
                   {},
                   {},
                   {},
                   doubles(in.at("v")),
                   doubles(in.at("state"))};
  const std::vector<double> q = doubles(in.at("q")), k = doubles(in.at("k")),
                            g = doubles(in.at("g")), beta = doubles(in.at("beta"));
  for (int64_t rt = 0; rt < scan.R * scan.T; ++rt)
    for (int64_t h = 0; h < H; ++h) {
      const size_t head = size_t(rt * H + h);
      for (int64_t i = 0; i < K; ++i) {
        const size_t key = size_t((rt * Hk + h / (H / Hk)) * K + i);
        const double decay = channels ? g[head * K + size_t(i)] : g[head];
        scan.q.push_back(q[key]);
        scan.g.push_back(decay);
        scan.k.push_back(k[key]);
        scan.b.push_back(k[key]);
        scan.a.push_back(-beta[head] * k[key] * std::exp(decay));
      }
      for (int64_t j = 0; j < V; ++j) scan.v[head * V + size_t(j)] *= beta[head];
    }
  return scan.run();
}

DeltaRuleInputs of(const NamedValues& in) {
  return {in.at("q"), in.at("k"), in.at("v"), in.at("g"), in.at("beta"), in.at("state"), {}};
}

class DeltaRule : public testing::TestWithParam<bool> {};  // a decay a channel?

TEST_P(DeltaRule, SpellingsFollowTheFloat64Scan) {
  for (const int64_t T : {1, 37}) {
    const Data in = random_inputs(R, T, GetParam());
    expect_spellings(in, oracle(in), 1e-5, [&](const NamedValues& values) {
      std::vector<DeltaRuleResult> results{
          naive_delta_rule(of(values)), chunk_delta_rule(of(values), 4),
          chunk_delta_rule(of(values), 32), chunk_delta_rule(of(values), 8, 16)};
      if (T == 1) results.push_back(step_delta_rule(of(values)));
      return results;
    });
  }
}

TEST_P(DeltaRule, LongChunksStayExact) {
  const Data in = random_inputs(1, 4096, GetParam());
  expect_spellings(in, oracle(in), 1e-5, [](const NamedValues& values) {
    return std::vector{chunk_delta_rule(of(values), 64, 1024)};
  });
}

// One token over and over, nothing forgotten, reflections (beta = 2): powers of the chunk's matrix
// would grow to 1e27 before they cancel.
TEST_P(DeltaRule, EqualKeysDoNotCancel) {
  Data in = random_inputs(1, 64, GetParam());
  in.at("beta") = random_floats({1, 64, H}, 7, 1.99F, 2);
  in.at("g") = random_floats(in.at("g").shape, 8, -1e-6F, 0);
  std::vector<float> keys(size_t(64 * Hk * K), std::sqrt(1.0F / K));
  in.at("k").values = keys;
  const Outcome wanted = oracle(in);
  const auto got = run_on(in, [](const auto& values) {
    return std::vector<Value>{chunk_delta_rule(of(values), 64).out};
  });
  EXPECT_LE(relative_difference(got[0], wanted.out), 1e-4);
}

TEST_P(DeltaRule, PaddingAndIdleRowsLeaveNoTrace) {
  Data in = random_inputs(R, 13, GetParam());
  in["state.s"] = in.at("state");
  in.erase("state");
  const auto op = [](Step& step, const NamedValues& values) {
    return delta_rule(step, "s",
                      {values.at("q"),
                       values.at("k"),
                       values.at("v"),
                       values.at("g"),
                       values.at("beta"),
                       {},
                       {}});
  };
  expect_no_trace(in, 13, op);
  expect_padding_keeps_bits(in, 13, op, {"k"}, {"v", "beta"});
}

TEST_P(DeltaRule, OneByOneIsTheSameAsAtOnce) {
  expect_one_by_one(
      random_inputs(R, 6, GetParam()), 6,
      [](const NamedValues& values) { return chunk_delta_rule(of(values), 4); },
      [](const NamedValues& values) { return step_delta_rule(of(values)); });
}

INSTANTIATE_TEST_SUITE_P(Decay, DeltaRule, testing::Bool(),
                         [](const auto& decay) { return decay.param ? "PerChannel" : "PerHead"; });

TEST(DeltaRuleShapes, RefusesAStateOfAnotherShape) {
  Graph graph;
  const auto argument = [&](const char* name, Shape shape) {
    return graph.argument(name, DType::kF32, shape);
  };
  EXPECT_THROW(naive_delta_rule({argument("q", {1, 2, Hk, K}), argument("k", {1, 2, Hk, K}),
                                 argument("v", {1, 2, H, V}), argument("g", {1, 2, H}),
                                 argument("beta", {1, 2, H}), argument("state", {1, H, V, K})}),
               CheckFailure);
}

}  // namespace
}  // namespace continuo::ops
