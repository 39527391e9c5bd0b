// Chi-square tests of the host's and the device's choices against a plain reference.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "engine/test_device_choice.h"

namespace continuo::engine {
namespace {

constexpr size_t kVocab = 37;

// The distribution by the definitions: sort, cut, cut, cut, normalise.
std::vector<double> reference(const std::vector<float>& logits, const SamplingParams& params) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  std::vector<double> p;
  for (const size_t id : order)
    p.push_back(std::exp((double(logits[id]) - double(logits[order[0]])) / params.temperature));
  const auto cut = [&](size_t count) {
    while (count < p.size() && logits[order[count]] == logits[order[count - 1]]) ++count;
    p.resize(std::min(count, p.size()));
  };
  if (params.top_k > 0 && size_t(params.top_k) < p.size()) cut(size_t(params.top_k));
  if (params.top_p < 1) {
    const double wanted = params.top_p * std::accumulate(p.begin(), p.end(), 0.0);
    size_t count = 0;
    for (double reached = 0; count < p.size() && reached < wanted; ++count) reached += p[count];
    cut(count);
  }
  while (p.back() < params.min_p * p[0]) p.pop_back();
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  std::vector<double> result(logits.size(), 0);
  for (size_t i = 0; i < p.size(); ++i) result[order[i]] = p[i] / sum;
  return result;
}

// Standard deviations by which chi-square is above its mean; infinity for an impossible count.
// Cells expected fewer than 5 times are counted together.
double excess(const std::vector<int64_t>& counts, const std::vector<double>& probabilities) {
  const double total = double(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  double chi = 0, cells = 0, rare_count = 0, rare_expected = 0;
  const auto add = [&](double count, double expected) {
    chi += (count - expected) * (count - expected) / expected;
    ++cells;
  };
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * probabilities[i];
    if (expected == 0 && counts[i] > 0) return std::numeric_limits<double>::infinity();
    if (expected >= 5) {
      add(double(counts[i]), expected);
    } else {
      rare_count += double(counts[i]);
      rare_expected += expected;
    }
  }
  if (rare_expected > 0.5) add(rare_count, rare_expected);
  return cells < 2 ? 0 : (chi - (cells - 1)) / std::sqrt(2 * (cells - 1));
}

std::vector<float> peaked() {
  std::mt19937 random(6);
  std::vector<float> logits(kVocab);
  for (float& each : logits) each = float(random() >> 8) * 0x1p-24f * 6 - 3;
  logits[5] = logits[20] = logits[3];  // ties
  logits[9] = -std::numeric_limits<float>::infinity();
  return logits;
}

std::vector<SamplingParams> settings() {
  std::vector<SamplingParams> all;
  for (const double temperature : {0.3, 0.7, 1.0, 2.0, 50.0})
    all.push_back({.temperature = temperature});
  for (const int64_t k : {2, 7, 19}) all.push_back({.temperature = 1.3, .top_k = k});
  for (const double p : {0.1, 0.5, 0.9, 0.999}) all.push_back({.temperature = 1, .top_p = p});
  for (const double p : {0.02, 0.3}) all.push_back({.temperature = 1, .min_p = p});
  all.push_back({.temperature = 1.5, .top_k = 20, .top_p = 0.8, .min_p = 0.05});
  all.push_back({.temperature = 0.8, .top_k = 6, .top_p = 0.95, .min_p = 0.4});
  return all;
}

TEST(Distribution, OfTheHost) {
  const std::vector<float> logits = peaked();
  for (SamplingParams params : settings()) {
    std::vector<int64_t> counts(kVocab);
    for (uint64_t seed = 0; seed < 20000; ++seed) {
      params.seed = seed;
      ++counts[size_t(choose(logits, sample_row(params, 0, int64_t(seed % 3))))];
    }
    EXPECT_LE(excess(counts, reference(logits, params)), 4.5)
        << "temperature " << params.temperature << " top_k " << params.top_k << " top_p "
        << params.top_p << " min_p " << params.min_p;
  }
}

// Rows side by side have different parameters; one is greedy.
TEST(Distribution, OfTheDevice) {
  const std::vector<float> logits = peaked();
  const std::vector<SamplingParams> all = settings();
  const size_t each = 32, rows = each * all.size() + 1;
  DeviceChoice device(runtime::test_executor(), int64_t(rows), kVocab, true);
  std::vector<std::vector<int64_t>> counts(all.size(), std::vector<int64_t>(kVocab));
  for (uint64_t round = 0; round < 250; ++round) {
    std::vector<SampleRow> packed;
    for (size_t r = 0; r + 1 < rows; ++r) {
      SamplingParams params = all[r % all.size()];
      params.seed = 1000 * round + r;
      packed.push_back(sample_row(params, 1, 5));
    }
    packed.push_back({});
    const auto tokens = device.run(Logits(rows, logits), packed);
    for (size_t r = 0; r + 1 < rows; ++r) ++counts[r % all.size()][size_t(tokens[r])];
    ASSERT_EQ(tokens.back(), std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  for (size_t i = 0; i < all.size(); ++i)
    EXPECT_LE(excess(counts[i], reference(logits, all[i])), 4.5)
        << "temperature " << all[i].temperature << " top_k " << all[i].top_k << " top_p "
        << all[i].top_p << " min_p " << all[i].min_p;
}

// Pairs of tokens at neighbouring indices, choices and seeds are as likely as their product.
TEST(Distribution, NeighboursAreIndependent) {
  const std::vector<float> logits{0.1f, 0.4f, -0.6f, 0, 0.9f, 0.3f, -0.2f};
  const std::vector<double> p = reference(logits, {.temperature = 1});
  std::vector<double> pairs;
  for (const double a : p)
    for (const double b : p) pairs.push_back(a * b);
  using Step = std::array<int64_t, 3>;  // seed, choice, index
  for (const Step step :
       {Step{1, 0, 0}, Step{0, 1, 0}, Step{0, 0, 1}, Step{0, 0, 2}, Step{0, 1, 1}, Step{1, 1, 1}}) {
    std::vector<int64_t> counts(pairs.size());
    const auto token = [&](int64_t seed, int64_t choice, int64_t index) {
      const SamplingParams params{.temperature = 1, .seed = uint64_t(seed)};
      return size_t(choose(logits, sample_row(params, choice, index)));
    };
    for (int64_t seed = 0; seed < 60; ++seed)
      for (int64_t choice = 0; choice < 4; ++choice)
        for (int64_t index = 0; index < 150; ++index) {
          // Strides of 4, so that no token is in two pairs.
          const int64_t s = 4 * seed, c = 4 * choice, i = 4 * index;
          ++counts[token(s, c, i) * p.size() + token(s + step[0], c + step[1], i + step[2])];
        }
    EXPECT_LE(excess(counts, pairs), 4.5) << step[0] << step[1] << step[2];
  }
}

// Over a large vocabulary: equal logits, so ids fall into 64 blocks evenly, low and high alike.
TEST(Distribution, OfManyEqualTokens) {
  const std::vector<float> logits(64 * 256, 1.0f);
  std::vector<int64_t> blocks(64), low(64);
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    const SamplingParams params{.temperature = 1, .seed = seed};
    const int32_t token = choose(logits, sample_row(params, 0, 0));
    ++blocks[size_t(token / 256)];
    ++low[size_t(token % 64)];
  }
  const std::vector<double> even(64, 1.0 / 64);
  EXPECT_LE(excess(blocks, even), 4.5);
  EXPECT_LE(excess(low, even), 4.5);
}

TEST(Distribution, ATestThatCanFail) {
  const std::vector<double> even(4, 0.25);
  EXPECT_LE(excess({1000, 1010, 990, 1000}, even), 4.5);
  EXPECT_GT(excess({1100, 1000, 900, 1000}, even), 4.5);
  EXPECT_GT(excess({1000, 1000, 1000, 1}, {1.0 / 3, 1.0 / 3, 1.0 / 3, 0}), 4.5);
}

}  // namespace
}  // namespace continuo::engine
