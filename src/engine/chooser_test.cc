// The chooser against the host: the same tokens and log probabilities, bit by bit, on both CPU
// plugins, for answers that go on in slots beside others.
#include "engine/chooser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>

#include "engine/sampler.h"

namespace continuo::engine {
namespace {

constexpr int64_t kSlots = 3;
constexpr float kInf = std::numeric_limits<float>::infinity();

class ChooserTest : public testing::TestWithParam<const char*> {
 protected:
  static void TearDownTestSuite() { opened_.clear(); }
  static runtime::Executor& executor() {
    auto& slot = opened_[GetParam()];
    if (slot == nullptr) slot = std::move(runtime::open_executor({.plugin = GetParam()})).value();
    return *slot;
  }
  static runtime::BufferPtr up(const HostTensor& tensor) {
    return std::move(executor().upload(tensor.view(), runtime::HostLifetime::kDuringCall)).value();
  }

 private:
  static inline std::map<std::string, std::unique_ptr<runtime::Executor>> opened_;
};
INSTANTIATE_TEST_SUITE_P(Plugins, ChooserTest,
                         testing::Values(CONTINUO_CPU_PLUGIN, CONTINUO_CPU_PLUGIN_ALT),
                         [](const auto& plugin) { return plugin.index == 0 ? "cpu" : "cpu_alt"; });

double uniform(std::mt19937& random) { return double(random()) * 0x1p-32; }

// Logits of a model, some of them masked, subnormal or so large that a penalty overflows.
std::vector<float> random_logits(int64_t vocab, std::mt19937& random) {
  std::vector<float> logits(static_cast<size_t>(vocab));
  const uint32_t kind = random() % 5;
  for (float& each : logits) {
    each = static_cast<float>((uniform(random) + uniform(random) - 1) * 8);
    if (kind == 1 && random() % 3 == 0) each = -kInf;
    if (kind == 2) each = std::round(each);
    if (kind == 3) each *= 1e-38F;
    if (kind == 4 && random() % 9 == 0) each *= 4e37F;
  }
  return logits;
}

SamplingParams random_params(int64_t vocab, std::mt19937& random) {
  SamplingParams params;
  const auto token = [&] { return int32_t(random() % uint64_t(vocab)); };
  params.seed = random();
  if (random() % 3 != 0) params.temperature = 0.2 + 2 * uniform(random);
  if (random() % 2) params.top_k = 1 + random() % 9;
  if (random() % 2) params.top_p = 0.3 + 0.7 * uniform(random);
  if (random() % 2) params.repetition_penalty = 0.5 + uniform(random);
  if (random() % 2) params.frequency_penalty = 4 * uniform(random) - 2;
  if (random() % 2) params.presence_penalty = 4 * uniform(random) - 2;
  for (uint32_t i = 0; i < random() % 5; ++i)
    params.logit_bias[token()] = static_cast<float>(20 * uniform(random) - 10);
  if (random() % 2) params.min_tokens = random() % 9;
  for (uint32_t i = 0; i < random() % 3; ++i) params.bad_words.push_back({token()});
  return params;
}

struct Slot {
  std::unique_ptr<Sampler> host;
  int64_t top = -1;
  bool line_written = false;
};

Slot random_answer(int64_t vocab, std::mt19937& random) {
  std::vector<int32_t> prompt(1 + random() % 12), ends{2, int32_t(vocab - 1)};
  for (int32_t& id : prompt) id = int32_t(random() % uint64_t(vocab));
  return {std::make_unique<Sampler>(random_params(vocab, random), 1, prompt, vocab, ends),
          int64_t(random() % 7) - 1, false};
}

void expect_same(const TokenLogprobs& got, const TokenLogprobs& wanted) {
  EXPECT_EQ(std::bit_cast<uint32_t>(got.logprob), std::bit_cast<uint32_t>(wanted.logprob));
  EXPECT_EQ(got.top, wanted.top);
}

// Steps of all slots and of one, idle rows among them, with owners that change.
TEST_P(ChooserTest, DeviceAndHostChooseTheSame) {
  std::mt19937 random(17);
  for (const int64_t vocab : {23, 1003}) {
    CompileCache cache({});
    Chooser chooser(executor(), cache, kSlots, vocab);
    std::vector<Slot> slots(kSlots);
    runtime::BufferPtr last = up(HostTensor(DType::kI32, {kSlots}));
    std::vector<int32_t> newest(kSlots, 0);
    for (int step = 0; step < 150 && !HasFailure(); ++step) {
      const bool whole = random() % 3 != 0;
      const int64_t rows = whole ? kSlots : 1;
      std::vector<int32_t> slot, length;
      std::vector<ChoiceRow> choices;
      std::vector<std::vector<float>> logits;
      HostTensor all(DType::kF32, {rows, vocab}), heads(DType::kI32, {rows});
      for (int64_t r = 0; r < rows; ++r) {
        slot.push_back(int32_t(whole ? r : int64_t(random() % kSlots)));
        Slot& own = slots[size_t(slot.back())];
        if (own.host == nullptr || random() % 20 == 0) own = random_answer(vocab, random);
        length.push_back(random() % 6 != 0);
        const bool penalised = penalises(own.host->params());
        if (length.back() != 0 && penalised && !own.line_written) {
          ASSERT_TRUE(chooser.set_line(slot.back(), own.host->line()).ok());
          own.line_written = true;
        }
        choices.push_back(own.host->choice_row(own.host->index()));
        choices.back().report = int32_t(own.top);
        logits.push_back(random_logits(vocab, random));
        std::copy(logits.back().begin(), logits.back().end(),
                  all.as<float>().begin() + long(r * vocab));
      }
      const auto device_logits = up(all), tokens = up(heads);
      auto chosen =
          chooser.choose({tokens.get(), device_logits.get(), last.get(), slot, length, choices});
      ASSERT_TRUE(chosen.ok()) << chosen.error().message;
      last = std::move(chosen->last);
      const HostTensor got = std::move(chosen->tokens->download()).value();
      const HostTensor report = std::move(chosen->report->download()).value();
      for (size_t r = 0; r < size_t(rows); ++r) {
        if (length[r] == 0) continue;
        Slot& own = slots[size_t(slot[r])];
        const int32_t wanted = own.host->sample(logits[r]);
        EXPECT_EQ(got.as<int32_t>()[r], wanted) << "vocabulary " << vocab << " step " << step;
        newest[size_t(slot[r])] = wanted;
        const auto width = size_t(report_width(vocab));
        if (own.top >= 0)
          expect_same(logprobs(report.as<int32_t>().subspan(r * width, width), own.top),
                      logprobs(logits[r], wanted, own.top));
        const auto row = chooser.take_row(*device_logits, int64_t(r));
        const HostTensor line = std::move((*row)->download()).value();
        EXPECT_EQ(std::memcmp(logits[r].data(), line.data(), logits[r].size() * sizeof(float)), 0);
        own.host->accept(wanted);
      }
      const HostTensor fed = std::move(last->download()).value();
      for (size_t s = 0; s < newest.size(); ++s) EXPECT_EQ(fed.as<int32_t>()[s], newest[s]);
    }
  }
}

TEST_P(ChooserTest, ARowWithoutATokenKeepsNone) {
  CompileCache cache({});
  Chooser chooser(executor(), cache, 2, 5);
  HostTensor logits(DType::kF32, {2, 5}), heads(DType::kI32, {2});
  logits.as<float>()[3] = logits.as<float>()[9] = 4;
  heads.as<int32_t>()[0] = -1;
  const auto device_logits = up(logits), tokens = up(heads), last = up(heads);
  const std::vector<int32_t> slot{0, 1}, length{1, 1};
  const std::vector<ChoiceRow> choices(2);
  auto chosen =
      chooser.choose({tokens.get(), device_logits.get(), last.get(), slot, length, choices});
  ASSERT_TRUE(chosen.ok()) << chosen.error().message;
  const HostTensor got = std::move(chosen->tokens->download()).value();
  EXPECT_EQ(got.as<int32_t>()[0], -1);
  EXPECT_EQ(got.as<int32_t>()[1], 4);
}

TEST_P(ChooserTest, ARowThatMayChooseNothingSaysSo) {
  CompileCache cache({});
  Chooser chooser(executor(), cache, 2, 5);
  HostTensor logits(DType::kF32, {2, 5}), heads(DType::kI32, {2});
  logits.as<float>()[3] = logits.as<float>()[9] = 4;
  const auto device_logits = up(logits), tokens = up(heads), last = up(heads);
  const std::vector<int32_t> slot{0, 1}, length{1, 1};
  std::vector<ChoiceRow> choices(2);
  for (ChoiceRow& each : choices) each.penalised = each.unfinished = true;
  choices[0].sampling.temperature = 1;
  std::vector<int32_t> marks(5, ops::kEndsAnswer);
  ASSERT_TRUE(chooser.prepare(2).ok());
  ASSERT_TRUE(chooser.set_line(0, {marks, std::vector<float>(5)}).ok());
  marks[2] = 0;
  ASSERT_TRUE(chooser.set_line(1, {marks, std::vector<float>(5)}).ok());
  auto chosen =
      chooser.choose({tokens.get(), device_logits.get(), last.get(), slot, length, choices});
  ASSERT_TRUE(chosen.ok()) << chosen.error().message;
  const HostTensor got = std::move(chosen->tokens->download()).value();
  EXPECT_EQ(got.as<int32_t>()[0], ops::kNothingAllowed);
  EXPECT_EQ(got.as<int32_t>()[1], 2);
}

TEST_P(ChooserTest, RefusesALineThatDoesNotFit) {
  CompileCache cache({});
  Chooser chooser(executor(), cache, 2, 5);
  EXPECT_EQ(chooser.set_line(2, {std::vector<int32_t>(5), std::vector<float>(5)}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(chooser.set_line(0, {std::vector<int32_t>(5), std::vector<float>(4)}).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace continuo::engine
