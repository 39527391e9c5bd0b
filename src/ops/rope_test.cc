#include "ops/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>

#include "ops/test_step.h"

namespace continuo::ops {
namespace {

using runtime::floats;
using runtime::max_difference;
using runtime::random_f32;

void expect_frequencies(const Rope& rope, const std::vector<double>& wanted) {
  ASSERT_EQ(rope.inv_freq.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i)
    EXPECT_NEAR(rope.inv_freq[i] / wanted[i], 1, 1e-6) << "frequency " << i;
}

// The numbers below were computed from the papers' formulas in double precision with Python.

TEST(RopeFrequencies, Plain) { expect_frequencies(plain_rope(8, 1e4), {1, 0.1, 0.01, 0.001}); }

TEST(RopeFrequencies, Linear) {
  expect_frequencies(linear_rope(plain_rope(6, 1e4), 4), {0.25, 0.0116039721, 0.000538608673});
}

TEST(RopeFrequencies, Llama3KeepsRampsAndDivides) {
  expect_frequencies(llama3_rope(plain_rope(12, 5e5), 8, 1, 4, 8192),
                     {1, 0.112246205, 0.0125992105, 0.000524846161, 1.98425131e-05, 2.2272468e-06});
}

TEST(RopeFrequencies, YarnWithRoundedAndWithExactBorders) {
  Yarn yarn{.theta = 150000, .factor = 32, .original_positions = 4096};
  const Rope rounded = yarn_rope(plain_rope(16, 150000), yarn);
  expect_frequencies(rounded, {1, 0.225418, 0.0508132748, 0.00775546606, 0.000914454401,
                               1.81883367e-05, 4.09997848e-06, 9.2420895e-07});
  EXPECT_NEAR(rounded.scale, 1.3465735902799727, 1e-12);
  yarn.truncate = false;
  yarn.attention_factor = 1.25;
  const Rope exact = yarn_rope(plain_rope(16, 150000), yarn);
  expect_frequencies(exact, {1, 0.225418, 0.0508132748, 0.00679495949, 0.000456483919,
                             1.81883367e-05, 4.09997848e-06, 9.2420895e-07});
  EXPECT_EQ(exact.scale, 1.25);
}

TEST(RopeFrequencies, DeepSeeksYarnScalesByTheRatio) {
  const Yarn yarn{.factor = 40, .original_positions = 4096, .mscale = 0.707, .mscale_all_dim = 0.8};
  EXPECT_NEAR(yarn_rope(plain_rope(8, 1e4), yarn).scale, 0.9735106906097958, 1e-12);
  EXPECT_EQ(yarn_mscale(0.5, 1), 1);
}

TEST(RopeFrequencies, LongRopeDividesEachByItsOwn) {
  const Rope rope = long_rope(plain_rope(6, 1e4), {1.0f, 1.5f, 4.25f}, 1.19);
  expect_frequencies(rope, {1, 0.0309439256, 0.000506925809});
  EXPECT_EQ(rope.scale, 1.19);
  EXPECT_THROW(long_rope(plain_rope(6, 1e4), {1.0f}, 1), CheckFailure);
}

TEST(RopeFrequencies, RefuseNonsense) {
  EXPECT_THROW(plain_rope(5, 1e4), CheckFailure);
  EXPECT_THROW(plain_rope(4, 0), CheckFailure);
  EXPECT_THROW(linear_rope(plain_rope(4, 1e4), 0), CheckFailure);
  EXPECT_THROW(llama3_rope(plain_rope(4, 1e4), 8, 4, 1, 8192), CheckFailure);
  EXPECT_THROW(yarn_rope(plain_rope(4, 1e4), {.factor = 2}), CheckFailure);
}

// Pairs of a head turned as complex numbers; dimensions beyond rope.dims stay.
void expect_turned(const Rope& rope, int64_t D) {
  constexpr int64_t R = 3, T = 4, H = 2;
  TestStep test({.rows = R, .columns = T, .slots = R, .context = 2000});
  const std::vector<int32_t> start{0, 17, 1500};
  test.rows({0, 1, 2}, start, {4, 4, 4});
  const Value x = test.input("x", random_f32({R, T, H, D}, 1));
  const auto result = test.run(apply_rope(x, rope_table(test.step, rope)));
  std::vector<float> wanted = floats(test.value("x"));
  const size_t half = size_t(rope.dims / 2);
  for (size_t line = 0; line < size_t(R * T * H); ++line) {
    const double position = start[line / size_t(T * H)] + double(line / size_t(H) % size_t(T));
    for (size_t i = 0; i < half; ++i) {
      const size_t a = line * size_t(D) + (rope.interleaved ? 2 * i : i);
      const size_t b = rope.interleaved ? a + 1 : a + half;
      const auto turned = std::complex<double>(wanted[a], wanted[b]) *
                          std::polar(rope.scale, position * double(rope.inv_freq[i]));
      wanted[a] = float(turned.real());
      wanted[b] = float(turned.imag());
    }
  }
  // Angles are float32: at position 1500 their last bit is 1e-4.
  EXPECT_LE(max_difference(floats(result[0]), wanted), 2e-4);
}

TEST(ApplyRope, HalvesPairsAndParts) {
  for (bool interleaved : {false, true}) {
    expect_turned(plain_rope(6, 1e4, interleaved), 6);
    expect_turned(plain_rope(4, 100, interleaved), 7);
    Rope scaled = plain_rope(2, 1e4, interleaved);
    scaled.scale = 1.5;
    expect_turned(scaled, 5);
  }
}

TEST(ApplyRope, SharesTablesOfEqualRopesOnly) {
  TestStep test({.rows = 1, .columns = 1, .slots = 1, .context = 4});
  const RopeTable* first = &rope_table(test.step, plain_rope(4, 1e4));
  EXPECT_EQ(&rope_table(test.step, plain_rope(4, 1e4)), first);
  EXPECT_NE(&rope_table(test.step, plain_rope(4, 1e5)), first);
  EXPECT_NE(&rope_table(test.step, plain_rope(4, 1e4, true)), first);
}

}  // namespace
}  // namespace continuo::ops
