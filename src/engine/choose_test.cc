// The device's choices against the host's, on both CPU plugins.
#include "engine/choose.h"

#include <cmath>
#include <limits>
#include <random>

#include "engine/test_device_choice.h"

namespace continuo::engine {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class Choose : public testing::TestWithParam<const char*> {
 protected:
  // Not at exit: a plugin's own statics may be gone by then.
  static void TearDownTestSuite() { opened_.clear(); }
  static runtime::Executor& executor() {
    auto& slot = opened_[GetParam()];
    if (slot == nullptr) slot = std::move(runtime::open_executor({.plugin = GetParam()})).value();
    return *slot;
  }
  void expect_same(DeviceChoice& device, const Logits& logits, const std::vector<SampleRow>& rows) {
    const std::vector<int32_t> tokens = device.run(logits, rows);
    for (size_t r = 0; r < rows.size(); ++r)
      EXPECT_EQ(tokens[r], choose(logits[r], rows[r]))
          << "row " << r << " temperature " << rows[r].temperature << " top_k " << rows[r].top_k
          << " top_p " << rows[r].top_p << " min_p " << rows[r].min_p << " key " << rows[r].key[0]
          << "," << rows[r].key[1];
  }
  // Rounds of three rows of random logits, chosen from at random.
  void expect_same_of_random(size_t vocab, ops::Search search, int rounds, uint32_t seed);

 private:
  static inline std::map<std::string, std::unique_ptr<runtime::Executor>> opened_;
};
INSTANTIATE_TEST_SUITE_P(Plugins, Choose,
                         testing::Values(CONTINUO_CPU_PLUGIN, CONTINUO_CPU_PLUGIN_ALT),
                         [](const auto& plugin) { return plugin.index == 0 ? "cpu" : "cpu_alt"; });

float uniform(std::mt19937& random) { return float(random() >> 8) * 0x1p-24f; }

// A row as models give them, or one that is hard in some way.
std::vector<float> random_logits(size_t vocab, std::mt19937& random) {
  std::vector<float> logits(vocab);
  const float spread = std::exp(uniform(random) * 12 - 4);
  const uint32_t kind = random() % 8;
  for (float& each : logits) {
    each = (uniform(random) + uniform(random) + uniform(random) - 1.5f) * spread;
    if (kind == 1) each = std::round(each * 2 / spread);  // many ties
    if (kind == 2 && random() % 3 == 0) each = -kInf;     // masked
    if (kind == 3 && random() % 5 == 0) each = kNan;      //
    if (kind == 4) each *= 1e-40f;                        // subnormal
    if (kind == 5) each = each > 0 ? 0.0f : -0.0f;        // both zeros
    if (kind == 6 && random() % 9 == 0) each *= 1e37f;    // differences overflow
    if (kind == 7) each += 1e4f;                          // little precision left
  }
  return logits;
}

SampleRow random_row(size_t vocab, std::mt19937& random) {
  SampleRow row;
  constexpr float kTemperatures[] = {0, 1e-30f, 1e-4f, 0.3f, 1, 1, 0.8f, 2.5f, 100, 1e30f};
  row.temperature = kTemperatures[random() % std::size(kTemperatures)];
  if (random() % 2) row.top_k = int32_t(1 + random() % (vocab + 3));
  if (random() % 4 == 0) row.top_k = int32_t(1 + random() % 4);
  if (random() % 2) row.top_p = random() % 4 ? uniform(random) : 1e-9f;
  if (random() % 2) row.min_p = random() % 4 ? uniform(random) * uniform(random) : 1;
  if (!(row.top_p > 0)) row.top_p = 1;
  row.key = {uint32_t(random()), uint32_t(random())};
  return row;
}

void Choose::expect_same_of_random(size_t vocab, ops::Search search, int rounds, uint32_t seed) {
  std::mt19937 random(seed);
  DeviceChoice device(executor(), 3, int64_t(vocab), true, search);
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    Logits logits;
    std::vector<SampleRow> rows;
    for (int r = 0; r < 3; ++r) {
      logits.push_back(random_logits(vocab, random));
      rows.push_back(random_row(vocab, random));
    }
    expect_same(device, logits, rows);
  }
}

TEST_P(Choose, DeviceAndHostChooseTheSame) {
  for (const size_t vocab : {1, 2, 37, 1001})
    if (!HasFailure()) expect_same_of_random(vocab, ops::Search::kLoop, 400, 1 + uint32_t(vocab));
}

// What GPUs run.
TEST_P(Choose, UnrolledSearchesChooseTheSame) {
  expect_same_of_random(4099, ops::Search::kUnrolled, 200, 5);
}

TEST_P(Choose, DeviceAndHostChooseTheSameWithoutTruncation) {
  std::mt19937 random(2);
  for (const size_t vocab : {37, 1001}) {
    DeviceChoice device(executor(), 5, int64_t(vocab), false);
    for (int round = 0; round < 400; ++round) {
      Logits logits;
      std::vector<SampleRow> rows;
      for (int r = 0; r < 5; ++r) {
        logits.push_back(random_logits(vocab, random));
        SampleRow row = random_row(vocab, random);
        rows.push_back({.temperature = row.temperature, .key = row.key});
      }
      expect_same(device, logits, rows);
      if (HasFailure()) return;
    }
  }
}

// Vocabularies of real models and the largest that is promised. Where all tokens are alike the sum
// of their weights is the largest that there can be.
TEST_P(Choose, LargeVocabulariesAreChosenTheSame) {
  std::mt19937 random(4);
  for (const size_t vocab : {size_t{262208}, size_t{1} << 20}) {
    DeviceChoice device(executor(), 2, int64_t(vocab), true);
    for (int round = 0; round < 3; ++round) {
      Logits logits;
      std::vector<SampleRow> rows;
      for (int r = 0; r < 2; ++r) {
        logits.push_back(random_logits(vocab, random));
        rows.push_back(random_row(vocab, random));
      }
      if (round == 0) {
        logits[0].assign(vocab, 1.25F);
        logits[0].back() = 1.26F;
        rows[0] = {.temperature = 1, .top_p = 0.999F, .key = {7, 9}};
        logits[1].assign(vocab, -3);
        rows[1] = {.temperature = 0.5F, .top_p = 0.25F, .min_p = 0.5F, .key = {1, 2}};
      }
      expect_same(device, logits, rows);
    }
  }
}

TEST(ChooseOnTheHost, EveryTokenOfALargeVocabularyHasItsShare) {
  const std::vector<float> alike(size_t{1} << 20, 0.5F);
  EXPECT_EQ(softmax_total(alike), uint64_t{1} << (20 + kSoftmaxBits));  // no sum has wrapped
  int upper = 0;
  for (uint32_t i = 0; i < 64; ++i)
    upper += choose(alike, {.temperature = 1, .top_p = 0.9F, .key = {i, 5}}) >= 1 << 19;
  EXPECT_GT(upper, 12);
  EXPECT_LT(upper, 52);
}

// A seeded answer's token is the same in any row, beside any rows, in a graph of any size.
TEST_P(Choose, RowsDoNotMatter) {
  std::mt19937 random(3);
  constexpr size_t kVocab = 129;
  DeviceChoice alone(executor(), 1, kVocab, true), plain(executor(), 3, kVocab, false);
  DeviceChoice among(executor(), 5, kVocab, true);
  for (int64_t index = 0; index < 40; ++index) {
    const SamplingParams params{.temperature = 1.5, .top_p = index % 2 ? 0.9 : 1, .seed = 77};
    const std::vector<float> logits = random_logits(kVocab, random);
    const SampleRow row = sample_row(params, 1, index);
    const int32_t token = alone.run({logits}, {row})[0];
    for (size_t place = 0; place < 5; ++place) {
      Logits others;
      std::vector<SampleRow> rows;
      for (size_t r = 0; r < 5; ++r) {
        others.push_back(r == place ? logits : random_logits(kVocab, random));
        rows.push_back(r == place ? row : random_row(kVocab, random));
      }
      EXPECT_EQ(among.run(others, rows)[place], token) << "row " << place;
      if (place >= 3 || truncates(params)) continue;
      others.resize(3);
      rows.resize(3);
      EXPECT_EQ(plain.run(others, rows)[place], token) << "row " << place << ", not truncated";
    }
  }
}

}  // namespace
}  // namespace continuo::engine
