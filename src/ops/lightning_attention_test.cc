#include "ops/lightning_attention.h"

#include <gtest/gtest.h>

#include "ops/test_low_rank_scan.h"
#include "ops/test_ragged.h"

namespace continuo::ops {
namespace {

constexpr int64_t R = 3, H = 4, K = 5, V = 6;

Data random_inputs(int64_t rows, int64_t columns) {
  Data in;
  in["q"] = random_floats({rows, columns, H, K}, 1);
  in["k"] = random_floats({rows, columns, H, K}, 2);
  in["v"] = random_floats({rows, columns, H, V}, 3);
  in["g"] = log_decays({rows, columns, H}, 4);
  in["state"] = random_floats({rows, H, K, V}, 5);
  return in;
}

Outcome oracle(const Data& in) {
  const Shape& shape = in.at("v").shape;
  const std::vector<double> none(in.at("k").values.size(), 0);
  LowRankScan scan{shape[0],
                   shape[1],
                   H,
                   K,
                   V,
                   doubles(in.at("q")),
                   {},
                   doubles(in.at("k")),
                   none,
                   none,
                   doubles(in.at("v")),
                   doubles(in.at("state"))};
  for (const float g : in.at("g").values) scan.g.insert(scan.g.end(), size_t(K), double(g));
  return scan.run();
}

LightningInputs of(const NamedValues& in) {
  return {in.at("q"), in.at("k"), in.at("v"), in.at("g"), in.at("state")};
}

TEST(LightningAttention, SpellingsFollowTheFloat64Scan) {
  for (const int64_t T : {1, 37}) {
    const Data in = random_inputs(R, T);
    expect_spellings(in, oracle(in), 1e-5, [&](const NamedValues& values) {
      std::vector<LightningResult> results{naive_lightning_attention(of(values)),
                                           chunk_lightning_attention(of(values), 16),
                                           chunk_lightning_attention(of(values), 8, 16)};
      if (T == 1) results.push_back(step_lightning_attention(of(values)));
      return results;
    });
  }
}

TEST(LightningAttention, LongChunksStayExact) {
  const Data in = random_inputs(1, 4096);
  expect_spellings(in, oracle(in), 1e-5, [](const NamedValues& values) {
    return std::vector{chunk_lightning_attention(of(values), 64, 1024)};
  });
}

TEST(LightningAttention, PaddingAndIdleRowsLeaveNoTrace) {
  Data in = random_inputs(R, 13);
  in["state.s"] = in.at("state");
  in.erase("state");
  in.erase("g");
  const auto op = [](Step& step, const NamedValues& values) {
    return lightning_attention(step, "s", values.at("q"), values.at("k"), values.at("v"),
                               {0.8F, 0.3F, 0.01F, 1e-5F});
  };
  expect_no_trace(in, 13, op);
  expect_padding_keeps_bits(in, 13, op, {"k"}, {"v"});
}

TEST(LightningAttention, OneByOneIsTheSameAsAtOnce) {
  expect_one_by_one(
      random_inputs(R, 6), 6,
      [](const NamedValues& values) { return chunk_lightning_attention(of(values), 4); },
      [](const NamedValues& values) { return step_lightning_attention(of(values)); });
}

}  // namespace
}  // namespace continuo::ops
