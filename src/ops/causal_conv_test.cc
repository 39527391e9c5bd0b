#include "ops/causal_conv.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/test_ragged.h"

namespace continuo::ops {
namespace {

using runtime::floats;
using runtime::max_difference;
using runtime::random_f32;

constexpr int64_t C = 5, K = 4;

struct Expected {
  std::vector<float> y, state;
};

// One row at a time: y at the valid columns (0 elsewhere), and the slots' next tails.
Expected oracle(const TestStep& in, bool biased, bool silu_after) {
  const HostTensor &x = in.value("x"), &w = in.value("c.weight");
  const int64_t R = x.shape()[0], T = x.shape()[1];
  Expected out{std::vector<float>(size_t(R * T * C)), floats(in.value("state.s"))};
  for (int64_t r = 0; r < R; ++r) {
    const int64_t slot = in.value("slot").as<int32_t>()[size_t(r)];
    const int64_t length = in.value("length").as<int32_t>()[size_t(r)];
    const bool fresh = in.value("start").as<int32_t>()[size_t(r)] == 0;
    for (int64_t c = 0; c < C && length > 0; ++c) {
      float* tail = &out.state[size_t((slot * C + c) * (K - 1))];
      std::vector<float> line(tail, tail + K - 1);
      if (fresh) line.assign(K - 1, 0);
      for (int64_t t = 0; t < length; ++t) {
        line.push_back(x.as<float>()[size_t((r * T + t) * C + c)]);
        double sum = biased ? in.value("c.bias").as<float>()[size_t(c)] : 0;
        for (int64_t j = 0; j < K; ++j)
          sum += double(line[size_t(t + j)]) * w.as<float>()[size_t(c * K + j)];
        out.y[size_t((r * T + t) * C + c)] = float(silu_after ? sum / (1 + std::exp(-sum)) : sum);
      }
      std::copy(line.end() - (K - 1), line.end(), tail);
    }
  }
  return out;
}

void compare_with_oracle(int64_t columns, int64_t slots, const std::vector<int32_t>& slot,
                         const std::vector<int32_t>& start, const std::vector<int32_t>& length,
                         bool biased, bool silu_after) {
  const int64_t R = int64_t(slot.size());
  TestStep test({.rows = R, .columns = columns, .slots = slots, .context = columns});
  test.rows(slot, start, length);
  const Value x = test.input("x", random_f32({R, columns, C}, 1));
  test.give("c.weight", random_f32({C, 1, K}, 2));
  test.give("c.bias", random_f32({C}, 3));
  test.give("state.s", with_odd_values(random_floats({slots, C, K - 1}, 4)).tensor());
  const Value y = causal_conv(test.step, x, "c", K, biased ? Bias::kYes : Bias::kNone, "s",
                              silu_after ? ConvActivation::kSilu : ConvActivation::kNone);
  const Value valid = expand_dims(test.step.valid(), -1);
  const std::vector<HostTensor> out =
      test.run(select(valid, y, constant(test.step.graph(), DType::kF32, 0)));
  const Expected wanted = oracle(test, biased, silu_after);
  EXPECT_LE(max_difference(floats(out[0]), wanted.y), 1e-6);
  EXPECT_EQ(bits(floats(out[1])), bits(wanted.state));
}

TEST(CausalConv, RowsOfAllLengthsInPlace) {
  compare_with_oracle(7, 3, {0, 1, 2}, {4, 0, 6}, {7, 2, 0}, true, true);
}

TEST(CausalConv, ShortRowsKeepPartOfTheOldTail) {
  compare_with_oracle(6, 4, {3, 1}, {5, 9}, {1, 2}, false, false);
}

TEST(CausalConv, OneColumn) {
  compare_with_oracle(1, 4, {0, 1, 2, 3}, {4, 0, 6, 0}, {1, 1, 0, 0}, true, false);
}

TEST(CausalConv, FewerColumnsThanTaps) {
  compare_with_oracle(2, 3, {2, 0}, {0, 3}, {1, 2}, false, true);
}

TEST(CausalConv, RefusesAWeightOfOtherChannels) {
  TestStep test({.columns = 2, .context = 2});
  const Value x = test.step.graph().argument("x", DType::kF32, {1, 2, C});
  EXPECT_THROW(causal_conv(test.step, x, test.step.weight("w", {C + 1, 1, K}), {}, "s",
                           ConvActivation::kNone),
               CheckFailure);
}

}  // namespace
}  // namespace continuo::ops
