#include "engine/sampler.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <random>

namespace continuo::engine {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::Pair;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_logits(size_t vocab, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> logits(vocab);
  for (float& each : logits) each = float(random() >> 8) * 0x1p-24f * 8 - 4;
  return logits;
}

// What `params` make of the logits after a prompt and an answer.
std::vector<float> penalised(const SamplingParams& params, const std::vector<int32_t>& prompt,
                             const std::vector<int32_t>& answer, std::vector<float> logits) {
  Penalties penalties(params, prompt, int64_t(logits.size()));
  for (const int32_t token : answer) penalties.accept(token);
  EXPECT_TRUE(penalties.any());
  penalties.apply(logits);
  return logits;
}

TEST(Penalties, DefaultsChangeNothing) {
  EXPECT_FALSE(Penalties(SamplingParams{}, std::vector<int32_t>{1, 2}, 5).any());
  EXPECT_FALSE(
      Penalties(SamplingParams{.dry_multiplier = 1, .dry_penalty_last_n = 0}, {}, 5).any());
}

TEST(Penalties, BiasIsAdded) {
  EXPECT_THAT(penalised({.logit_bias = {{1, 2.5f}, {3, -100.0f}}}, {}, {}, {1, 2, 3, 4}),
              ElementsAre(1, 4.5f, 3, -96));
}

TEST(Penalties, RepetitionCountsPromptAndAnswerOnce) {
  EXPECT_THAT(penalised({.repetition_penalty = 2}, {0, 1, 1}, {3, 3, 1}, {4, -3, 5, 0.5f, -1}),
              ElementsAre(2, -6, 5, 0.25f, -1));
}

TEST(Penalties, FrequencyAndPresenceCountTheAnswer) {
  EXPECT_THAT(penalised({.frequency_penalty = 0.5}, {0, 1, 1}, {3, 3, 1}, {1, 2, 3, 4}),
              ElementsAre(1, 1.5f, 3, 3));
  EXPECT_THAT(penalised({.presence_penalty = -0.5}, {0, 1, 1}, {3, 3, 1}, {1, 2, 3, 4}),
              ElementsAre(1, 2.5f, 3, 4.5f));
}

TEST(Penalties, InTheOrderOfTheHeader) {
  // (1 + 3) / 2 - (0.25 * 2 + 1) for a token twice in the answer.
  const SamplingParams params{.repetition_penalty = 2,
                              .frequency_penalty = 0.25,
                              .presence_penalty = 1,
                              .logit_bias = {{2, 3.0f}}};
  EXPECT_THAT(penalised(params, {}, {2, 2}, {0, 0, 1}), ElementsAre(0, 0, 0.5f));
}

TEST(Penalties, TokensOutsideTheVocabularyAreLeftOut) {
  EXPECT_THAT(penalised({.repetition_penalty = 2, .dry_multiplier = 1, .dry_allowed_length = 1},
                        {-1, 9, -1, 9, 3}, {-1}, {1, 2, 3, 4}),
              ElementsAre(1, 2, 3, 2));
}

// By the definition: for each token, the longest end of the history that also stands right before
// an earlier place of that token.
std::map<int32_t, float> plain_dry(const SamplingParams& p, std::vector<int32_t> history) {
  const auto breaks = [&](int32_t token) {
    return std::count(p.dry_breakers.begin(), p.dry_breakers.end(), token) > 0;
  };
  if (p.dry_penalty_last_n >= 0 && history.size() > size_t(p.dry_penalty_last_n))
    history.erase(history.begin(), history.end() - p.dry_penalty_last_n);
  const auto n = int64_t(history.size());
  std::map<int32_t, int64_t> longest;
  for (int64_t place = 1; place < n; ++place) {
    int64_t length = 0;
    while (length < place &&
           history[size_t(place - 1 - length)] == history[size_t(n - 1 - length)] &&
           !breaks(history[size_t(n - 1 - length)]))
      ++length;
    const int32_t token = history[size_t(place)];
    if (length >= p.dry_allowed_length && !breaks(token))
      longest[token] = std::max(longest[token], length);
  }
  std::map<int32_t, float> penalties;
  for (const auto& [token, length] : longest)
    penalties[token] =
        float(p.dry_multiplier * std::pow(p.dry_base, double(length - p.dry_allowed_length)));
  return penalties;
}

std::vector<std::pair<int32_t, float>> dry_penalties(const SamplingParams& params,
                                                     const std::vector<int32_t>& history) {
  return Dry(params, history).penalties();
}

TEST(Dry, WhatWouldProlongARepetitionLoses) {
  const SamplingParams params{.dry_multiplier = 0.5, .dry_base = 2, .dry_allowed_length = 2};
  // Before: a b c c b c y a b c, as llama.cpp's comment has it. c after "a b c" is 3 long.
  EXPECT_THAT(dry_penalties(params, std::vector<int32_t>{1, 2, 3, 3, 2, 3, 9, 1, 2, 3}),
              ElementsAre(Pair(3, 1.0f), Pair(9, 0.5f)));
  EXPECT_THAT(dry_penalties(params, std::vector<int32_t>{1, 2, 3}), ElementsAre());
  EXPECT_THAT(dry_penalties(params, {}), ElementsAre());
}

TEST(Dry, BreakersEndARepetitionAndAreSpared) {
  SamplingParams params{.dry_multiplier = 1, .dry_base = 2, .dry_allowed_length = 1};
  const std::vector<int32_t> history{1, 2, 3, 4, 1, 2, 3};
  EXPECT_THAT(dry_penalties(params, history), ElementsAre(Pair(4, 4.0f)));
  params.dry_breakers = {2};
  EXPECT_THAT(dry_penalties(params, history), ElementsAre(Pair(4, 1.0f)));
  params.dry_breakers = {4};
  EXPECT_THAT(dry_penalties(params, history), ElementsAre());
  params.dry_breakers = {3};
  EXPECT_THAT(dry_penalties(params, history), ElementsAre());
}

TEST(Dry, LooksBackSoFarAndClampsThePower) {
  SamplingParams params{.dry_multiplier = 1, .dry_base = 4, .dry_allowed_length = 1};
  params.dry_penalty_last_n = 5;
  EXPECT_THAT(dry_penalties(params, std::vector<int32_t>{1, 2, 3, 1, 2, 3, 1, 2}),
              ElementsAre(Pair(3, 4.0f)));
  params.dry_penalty_last_n = -1;
  const auto penalties = dry_penalties(params, std::vector<int32_t>(500, 7));
  EXPECT_THAT(penalties,
              ElementsAre(Pair(7, testing::AllOf(testing::Gt(1e37f), testing::Lt(kInf)))));
}

TEST(Dry, AsTheDefinitionSays) {
  std::mt19937 random(4);
  for (int round = 0; round < 3000; ++round) {
    const SamplingParams params{
        .dry_multiplier = 0.7,
        .dry_base = 1.5,
        .dry_allowed_length = int64_t(random() % 4),
        .dry_penalty_last_n = random() % 2 ? -1 : int64_t(random() % 30),
        .dry_breakers = random() % 2 ? std::vector<int32_t>{} : std::vector<int32_t>{3, 0}};
    std::vector<int32_t> history(random() % 40);
    const uint32_t tokens = 2 + random() % 4;
    for (int32_t& token : history) token = int32_t(random() % tokens);
    // The first tokens are a prompt, the others are accepted one after the other.
    const size_t prompt = random() % (history.size() + 1);
    Dry dry(params, std::span(history).first(prompt));
    for (size_t n = prompt; n <= history.size(); ++n) {
      const auto got = dry.penalties();
      const auto wanted = plain_dry(params, {history.begin(), history.begin() + std::ptrdiff_t(n)});
      ASSERT_THAT((std::map<int32_t, float>(got.begin(), got.end())), wanted) << "round " << round;
      if (n < history.size()) dry.accept(history[n]);
    }
  }
}

TEST(Dry, AHundredThousandEqualTokensCostATokenLittle) {
  std::vector<int32_t> breakers(3000);
  for (size_t i = 0; i < breakers.size(); ++i) breakers[i] = int32_t(1000 + i);
  const SamplingParams params{.dry_multiplier = 1, .dry_base = 1.0000001, .dry_breakers = breakers};
  Dry dry(params, std::vector<int32_t>(100000, 7));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) {
    dry.accept(7);
    EXPECT_EQ(dry.penalties().size(), 1u);
  }
  // Looking at the whole history with all breakers took 0.3 s a token.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(Sampler, SamplesFromThePenalisedLogits) {
  const SamplingParams params{.logit_bias = {{2, 50.0f}}};
  Sampler sampler(params, 0, {}, 4);
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 9, 2, 3}), 2);
  Sampler repeated({.presence_penalty = 2}, 0, {}, 3);
  const std::vector<float> logits{1, 2, 1.5f};
  EXPECT_EQ(repeated.sample(logits), 1);
  repeated.accept(1);
  EXPECT_EQ(repeated.sample(logits), 2);
}

TEST(Sampler, NothingIsChosenWhereNothingMayCome) {
  const SamplingParams params{.min_tokens = 3};
  Sampler sampler(params, 0, {}, 3, std::vector<int32_t>{0, 1, 2});
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 9, 2}), ops::kNothingAllowed);
  Sampler one(params, 0, {}, 3, std::vector<int32_t>{0, 1});
  EXPECT_EQ(one.sample(std::vector<float>{1, 9, 2}), 2);
}

TEST(Sampler, TheSameSeedGivesTheSameTokens) {
  const SamplingParams params{.temperature = 1.5, .seed = 11};
  Sampler first(params, 0, {}, 101), second(params, 0, std::vector<int32_t>{5}, 101);
  std::vector<int32_t> tokens;
  for (int i = 0; i < 50; ++i) {
    const auto logits = random_logits(101, uint32_t(i));
    tokens.push_back(first.sample(logits));
    EXPECT_EQ(first.sample(logits), tokens.back()) << "sampling twice";
    first.accept(tokens.back());
    EXPECT_EQ(first.index(), i + 1);
  }
  for (int i = 49; i >= 0; --i)
    EXPECT_EQ(second.sample(random_logits(101, uint32_t(i)), i), tokens[size_t(i)]);
}

TEST(Sampler, SeedChoiceAndIndexEachMatter) {
  const auto logits = random_logits(5003, 1);
  const auto token = [&](uint64_t seed, int64_t choice, int64_t index) {
    return Sampler({.temperature = 5, .seed = seed}, choice, {}, 5003).sample(logits, index);
  };
  const int32_t base = token(1, 0, 0);
  EXPECT_NE(token(2, 0, 0), base);
  EXPECT_NE(token(1, 1, 0), base);
  EXPECT_NE(token(1, 0, 1), base);
  EXPECT_NE(token(1 + (uint64_t{1} << 63), 0, 0), base);
  // Written down: a change of these is a change of every seeded answer.
  EXPECT_THAT(sample_key(1, 2, 3), ElementsAre(4097079752u, 3372611723u));
}

TEST(Sampler, NeighbouringKeysDiffer) {
  std::map<std::array<uint32_t, 2>, int> seen;
  for (uint64_t seed = 0; seed < 20; ++seed)
    for (int64_t choice = 0; choice < 20; ++choice)
      for (int64_t index = 0; index < 20; ++index) ++seen[sample_key(seed, choice, index)];
  EXPECT_EQ(seen.size(), 8000u);
}

TEST(SampleRow, PacksWhatTheDeviceTakes) {
  const SampleRow row = sample_row(
      {.temperature = 0.5, .top_k = int64_t{1} << 40, .top_p = 0.25, .min_p = 0.125, .seed = 9}, 2,
      7);
  EXPECT_EQ(row.temperature, 0.5f);
  EXPECT_EQ(row.top_k, std::numeric_limits<int32_t>::max());
  EXPECT_EQ(row.top_p, 0.25f);
  EXPECT_EQ(row.min_p, 0.125f);
  EXPECT_EQ(row.key, sample_key(9, 2, 7));
  EXPECT_GT(sample_row({.temperature = 1e-300, .seed = 1}, 0, 0).temperature, 0);
  EXPECT_LT(sample_row({.temperature = 1e300, .seed = 1}, 0, 0).temperature, kInf);
  // p below what float32 holds stays above 0.
  EXPECT_GT(sample_row({.temperature = 1, .top_p = 1e-300, .seed = 1}, 0, 0).top_p, 0);
  EXPECT_EQ(sample_row({.temperature = 0, .top_k = 5}, 0, 0).top_k, 0);
}

TEST(SampleRow, TruncationIsWhatChangesAnything) {
  EXPECT_FALSE(truncates({.temperature = 1}));
  EXPECT_FALSE(truncates({.temperature = 0, .top_k = 5}));
  EXPECT_TRUE(truncates({.temperature = 1, .top_k = 5}));
  EXPECT_TRUE(truncates({.temperature = 1, .top_p = 0.99}));
  EXPECT_TRUE(truncates({.temperature = 1, .min_p = 0.01}));
}

TEST(Logprobs, AreTheLogOfTheSoftmax) {
  const auto logits = random_logits(37, 8);
  double sum = 0;
  for (const float each : logits) sum += std::exp(double(each));
  std::vector<int32_t> order(37);
  for (int i = 0; i < 37; ++i) order[size_t(i)] = i;
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return logits[size_t(a)] > logits[size_t(b)]; });
  const TokenLogprobs got = logprobs(logits, 5, 4);
  EXPECT_NEAR(got.logprob, logits[5] - std::log(sum), 1e-6);
  ASSERT_EQ(got.top.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(got.top[i].first, order[i]);
    EXPECT_NEAR(got.top[i].second, logits[size_t(order[i])] - std::log(sum), 1e-6);
  }
  EXPECT_TRUE(logprobs(logits, 5, 0).top.empty());
  EXPECT_EQ(logprobs(logits, 5, 100).top.size(), 37u);
}

TEST(Logprobs, OddLogits) {
  const float half = -float(M_LN2);
  const TokenLogprobs ties = logprobs(std::vector<float>{-kInf, 1e4f, kNan, 1e4f}, 2, 3);
  EXPECT_EQ(ties.logprob, -kInf);
  EXPECT_THAT(ties.top, ElementsAre(Pair(1, FloatNear(half, 1e-6f)),
                                    Pair(3, FloatNear(half, 1e-6f)), Pair(0, -kInf)));
  EXPECT_EQ(logprobs(std::vector<float>{1, kInf}, 1, 1).logprob, 0);
  EXPECT_EQ(logprobs(std::vector<float>{1, kInf}, 0, 1).logprob, -kInf);
  EXPECT_NEAR(logprobs(std::vector<float>{kNan, kNan}, 0, 1).logprob, half, 1e-6);
  EXPECT_EQ(logprobs(std::vector<float>{1, 2}, 2, 1).logprob, -kInf);
  EXPECT_EQ(logprobs(std::vector<float>{1, 2}, -1, 1).logprob, -kInf);
}

}  // namespace
}  // namespace continuo::engine
