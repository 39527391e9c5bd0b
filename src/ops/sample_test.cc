#include "ops/sample.h"

#include <cmath>
#include <limits>
#include <random>

#include "graph/plugins_test.h"
#include "ops/sample_math.h"

namespace continuo::ops {
namespace {

using namespace graph;
using testing::ElementsAre;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Words at and beside every power of two, and others.
std::vector<uint32_t> words() {
  std::vector<uint32_t> all{0, 0xffffffff, 0x7fffffff, 0x80000000};
  for (int bit = 0; bit < 32; ++bit)
    for (int step = -2; step <= 2; ++step) all.push_back((uint32_t{1} << bit) + uint32_t(step));
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) all.push_back(random());
  return all;
}

TEST(SampleMath, GumbelIsTheLogarithmItSays) {
  double worst = 0;
  for (const uint32_t hash : words()) {
    const double u = (hash + 0.5) * 0x1p-32;
    const double wanted = -std::log(-std::log1p(-u));
    worst = std::max(worst, std::abs(sampling::gumbel(hash) * 0x1p-24 - 4 - wanted));
  }
  EXPECT_LE(worst, 0x1p-20);
  EXPECT_GT(worst, 0);
}

TEST(SampleMath, ExponentialIsOne) {
  double worst = 0;
  for (const uint32_t word : words()) {
    const uint32_t x = word % ((63u << 24) + 1);
    const auto e = sampling::exponential(x);
    const double wanted = std::exp(-double(x) * 0x1p-24);
    worst =
        std::max(worst, std::abs(std::ldexp(e.fraction * 0x1p-31, -int(e.octaves)) / wanted - 1));
  }
  EXPECT_LE(worst, 0x1p-20);
  EXPECT_EQ(sampling::exponential(0u).fraction, 0x80000000u);
  EXPECT_EQ(sampling::exponential(0u).octaves, 0u);
}

// Each bit of the hash flips with probability 1/2 where one bit of an input does.
TEST(SampleMath, HashSpreadsEveryBit) {
  std::mt19937 random(3);
  constexpr int kTries = 4000;
  for (int input = 0; input < 96; ++input) {
    std::vector<int> flips(32);
    for (int i = 0; i < kTries; ++i) {
      uint32_t in[3] = {uint32_t(random()), uint32_t(random()), uint32_t(random())};
      if (input >= 64) in[2] %= uint32_t{sampling::kMostVocab};
      const uint32_t before = sampling::hash(in[0], in[1], in[2]);
      in[input / 32] ^= uint32_t{1} << (input % 32);
      const uint32_t changed = before ^ sampling::hash(in[0], in[1], in[2]);
      for (int bit = 0; bit < 32; ++bit) flips[size_t(bit)] += changed >> bit & 1;
    }
    // Six standard deviations, over 3072 counts; lowbias32's own bias is within them.
    for (int bit = 0; bit < 32; ++bit)
      EXPECT_NEAR(flips[size_t(bit)], kTries / 2, 6 * std::sqrt(kTries / 4.0))
          << "input " << input << " output " << bit;
  }
}

class Sample : public OnPlugin {
 protected:
  SampleInputs inputs(const Numbers& temperature, const Numbers& top_k, const Numbers& top_p,
                      const Numbers& min_p) {
    const auto R = int64_t(temperature.size());
    Numbers key;
    for (int64_t i = 0; i < 2 * R; ++i) key.push_back(double(int32_t(1234567u * uint32_t(i))));
    return {floats(temperature), ints(top_k), floats(top_p), floats(min_p),
            in(DType::kI32, {R, 2}, key)};
  }
};
CONTINUO_ON_BOTH_PLUGINS(Sample);

TEST_P(Sample, GraphAndHostComputeTheSameWords) {
  const std::vector<uint32_t> xs = words();
  Numbers numbers(xs.begin(), xs.end());
  const Value x = in(DType::kU32, {int64_t(xs.size())}, numbers);
  const Value y = minimum(x, constant(g, DType::kU32, double(63u << 24)));
  const auto e = sampling::exponential(y);
  const auto got = run({sampling::gumbel(x), e.fraction, e.octaves,
                        sampling::hash(x, sampling::like(x, 77), sampling::exclusive_or(x, y))});
  for (size_t i = 0; i < xs.size(); ++i) {
    const uint32_t small = std::min(xs[i], 63u << 24);
    const auto wanted = sampling::exponential(small);
    ASSERT_EQ(got[0][i], sampling::gumbel(xs[i])) << xs[i];
    ASSERT_EQ(got[1][i], wanted.fraction) << small;
    ASSERT_EQ(got[2][i], wanted.octaves) << small;
    ASSERT_EQ(got[3][i], sampling::hash(xs[i], 77u, xs[i] ^ small)) << xs[i];
  }
}

TEST_P(Sample, GreedyTakesTheFirstOfTheLargest) {
  const Numbers logits{1,     5,     5,     -2,                             // a tie
                       -0.0,  0,     -1,    0,                              // zeros are equal
                       kNan,  -kInf, -3,    kNan,                           //
                       -kInf, -kInf, -kInf, -kInf, kNan, kNan, kNan, kNan,  //
                       -kInf, 7,     kInf,  kInf};
  const Value x = in(DType::kF32, {6, 4}, logits);
  const Numbers zeros(6, 0), ones(6, 1);
  const SampleInputs parameters = inputs(zeros, zeros, ones, zeros);
  EXPECT_THAT(run({sample(x, parameters, false, Search::kLoop),
                   sample(x, parameters, true, Search::kLoop)}),
              ElementsAre(ElementsAre(1, 0, 2, 0, 0, 2), ElementsAre(1, 0, 2, 0, 0, 2)));
}

// Each of these leaves one token, whatever the noise.
TEST_P(Sample, OneTokenIsLeft) {
  const Numbers row{0.1, 2, 1, -1, 1.9};
  Numbers logits;
  for (int r = 0; r < 5; ++r) logits.insert(logits.end(), row.begin(), row.end());
  const Value x = in(DType::kF32, {5, 5}, logits);
  EXPECT_THAT(
      run(sample(
          x, inputs({1, 1, 1, 1e-30, 0}, {1, 0, 0, 0, 3}, {1, 0.01, 1, 1, 0.5}, {0, 0, 1, 0, 0.5}),
          true, Search::kLoop)),
      ElementsAre(1, 1, 1, 1, 1));
}

TEST_P(Sample, InfinityWinsAndMinusInfinityAndNanLose) {
  const Value x = in(DType::kF32, {4, 3},
                     {kInf, 3e38, 1, -kInf, kNan, -3e38,  //
                      kNan, -kInf, kNan, 0, -kInf, kNan});
  const Numbers zeros(4, 0), ones(4, 1);
  const SampleInputs parameters = inputs({1, 1e30, 1, 1e30}, zeros, ones, zeros);
  for (const Numbers& tokens : run({sample(x, parameters, false, Search::kLoop),
                                    sample(x, parameters, true, Search::kLoop)}))
    EXPECT_THAT(tokens, ElementsAre(0, 2, 1, 0));
}

TEST(SampleRefuses, WhatDoesNotFit) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {3}), y = g.argument("y", DType::kBF16, {3, 4});
  EXPECT_EQ(refusal([&] { sample(x, {}, false, Search::kLoop); }),
            "[sample] wanted logits:[R,V] f32 with V <= 2^20, got f32[3]");
  EXPECT_EQ(refusal([&] { sample(y, {}, false, Search::kLoop); }),
            "[sample] wanted logits:[R,V] f32 with V <= 2^20, got bf16[3,4]");
}

}  // namespace
}  // namespace continuo::ops
