#include "ops/wkv7.h"

#include <gtest/gtest.h>

#include "ops/test_low_rank_scan.h"
#include "ops/test_ragged.h"

namespace continuo::ops {
namespace {

constexpr int64_t R = 3, H = 4, K = 5, V = 6;

// a = -kappa and b = kappa * rate, kappa a unit vector and rate in (0, 1), as the model makes them.
Data random_inputs(int64_t rows, int64_t columns, const Floats& decays) {
  const Shape keys{rows, columns, H, K};
  Data in;
  in["r"] = random_floats(keys, 1);
  in["g"] = decays;
  in["k"] = random_floats(keys, 2);
  in["a"] = in["b"] = unit_vectors(keys, 3);
  const Floats rate = random_floats(keys, 4, 0, 1);
  for (size_t i = 0; i < rate.values.size(); ++i) {
    in["a"].values[i] *= -1;
    in["b"].values[i] *= rate.values[i];
  }
  in["v"] = random_floats({rows, columns, H, V}, 5);
  in["state"] = random_floats({rows, H, K, V}, 6);
  return in;
}

// The model's own decays: exp(-exp(-0.5) sigmoid(..)), between 0.545 and 1.
Floats model_decays(Shape shape) { return random_floats(shape, 7, -0.6065F, 0); }

Outcome oracle(const Data& in) {
  const Shape& shape = in.at("v").shape;
  LowRankScan scan{shape[0],
                   shape[1],
                   H,
                   K,
                   V,
                   doubles(in.at("r")),
                   doubles(in.at("g")),
                   doubles(in.at("k")),
                   doubles(in.at("a")),
                   doubles(in.at("b")),
                   doubles(in.at("v")),
                   doubles(in.at("state"))};
  return scan.run();
}

Wkv7Inputs of(const NamedValues& in, double lowest = -0.6066) {
  const auto state = in.find("state");
  return {in.at("r"),
          in.at("g"),
          in.at("k"),
          in.at("a"),
          in.at("b"),
          in.at("v"),
          state == in.end() ? Value() : state->second,
          lowest};
}

TEST(Wkv7, SpellingsFollowTheFloat64Scan) {
  for (const int64_t T : {1, 37}) {
    const Data in = random_inputs(R, T, model_decays({R, T, H, K}));
    expect_spellings(in, oracle(in), 1e-5, [&](const NamedValues& values) {
      std::vector<Wkv7Result> results{naive_wkv7(of(values)), chunk_wkv7(of(values), 16),
                                      chunk_wkv7(of(values), 8, 16)};
      if (T == 1) results.push_back(step_wkv7(of(values)));
      return results;
    });
  }
}

TEST(Wkv7, LongChunksStayExact) {
  for (const bool extreme : {false, true}) {
    const Shape keys{1, 4096, H, K};
    const Data in = random_inputs(1, 4096, extreme ? log_decays(keys, 8) : model_decays(keys));
    expect_spellings(in, oracle(in), 1e-4, [&](const NamedValues& values) {
      return std::vector{chunk_wkv7(of(values, extreme ? -1e30 : -0.6066), 32)};
    });
  }
}

TEST(Wkv7, PaddingAndIdleRowsLeaveNoTrace) {
  Data in = random_inputs(R, 13, model_decays({R, 13, H, K}));
  in["state.s"] = in.at("state");
  in.erase("state");
  const auto op = [](Step& step, const NamedValues& values) { return wkv7(step, "s", of(values)); };
  expect_no_trace(in, 13, op);
  expect_padding_keeps_bits(in, 13, op, {"k", "b"}, {"v", "a"});
}

TEST(Wkv7, OneByOneIsTheSameAsAtOnce) {
  expect_one_by_one(
      random_inputs(R, 6, model_decays({R, 6, H, K})), 6,
      [](const NamedValues& values) { return chunk_wkv7(of(values), 4); },
      [](const NamedValues& values) { return step_wkv7(of(values)); });
}

TEST(Wkv7, RefusesADecayOfAnotherShape) {
  Graph graph;
  const auto argument = [&](const char* name, Shape shape) {
    return graph.argument(name, DType::kF32, shape);
  };
  const Value keys = argument("r", {1, 2, H, K});
  EXPECT_THROW(naive_wkv7({keys, argument("g", {1, 2, H}), keys, keys, keys,
                           argument("v", {1, 2, H, V}), argument("state", {1, H, K, V})}),
               CheckFailure);
}

}  // namespace
}  // namespace continuo::ops
