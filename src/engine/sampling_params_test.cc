#include "engine/sampling_params.h"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>

namespace continuo::engine {
namespace {

std::string complaint(const std::function<void(SamplingParams&)>& change) {
  SamplingParams params;
  change(params);
  const Status status = check(params, 37);
  if (status.ok()) return "";
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  return status.error().message;
}

TEST(SamplingParams, GoodOnesPass) {
  EXPECT_EQ(complaint([](SamplingParams&) {}), "");
  EXPECT_EQ(complaint([](SamplingParams& p) {
              p = {.temperature = 2,
                   .top_k = 100000,
                   .top_p = 0.1,
                   .min_p = 1,
                   .repetition_penalty = 0.5,
                   .frequency_penalty = -2,
                   .presence_penalty = 2,
                   .logit_bias = {{0, -100.0f}, {36, 100.0f}},
                   .dry_multiplier = 0.8,
                   .dry_base = 1,
                   .dry_allowed_length = 0,
                   .dry_penalty_last_n = 0,
                   .dry_breakers = {0, 36}};
            }),
            "");
}

TEST(SamplingParams, BadOnesNameFieldAndRange) {
  using P = SamplingParams;
  EXPECT_EQ(complaint([](P& p) { p.temperature = -1; }),
            "temperature: wanted a number >= 0, got -1");
  EXPECT_EQ(complaint([](P& p) { p.temperature = NAN; }),
            "temperature: wanted a number >= 0, got nan");
  EXPECT_EQ(complaint([](P& p) { p.temperature = INFINITY; }),
            "temperature: wanted a number >= 0, got inf");
  EXPECT_EQ(complaint([](P& p) { p.top_k = -1; }), "top_k: wanted an integer >= 0, got -1");
  EXPECT_EQ(complaint([](P& p) { p.top_p = 0; }), "top_p: wanted 0 < p <= 1, got 0");
  EXPECT_EQ(complaint([](P& p) { p.top_p = NAN; }), "top_p: wanted 0 < p <= 1, got nan");
  EXPECT_EQ(complaint([](P& p) { p.min_p = 1.5; }), "min_p: wanted 0 <= p <= 1, got 1.5");
  EXPECT_EQ(complaint([](P& p) { p.repetition_penalty = 0; }),
            "repetition_penalty: wanted a number > 0, got 0");
  EXPECT_EQ(complaint([](P& p) { p.frequency_penalty = 2.5; }),
            "frequency_penalty: wanted a number from -2 to 2, got 2.5");
  EXPECT_EQ(complaint([](P& p) { p.presence_penalty = NAN; }),
            "presence_penalty: wanted a number from -2 to 2, got nan");
  EXPECT_EQ(complaint([](P& p) { p.logit_bias[37] = 1; }),
            "logit_bias: wanted token ids from 0 to 36, got 37");
  EXPECT_EQ(complaint([](P& p) { p.logit_bias[-1] = 1; }),
            "logit_bias: wanted token ids from 0 to 36, got -1");
  EXPECT_EQ(complaint([](P& p) { p.logit_bias[5] = INFINITY; }),
            "logit_bias of token 5: wanted a finite number, got inf");
  EXPECT_EQ(complaint([](P& p) { p.dry_multiplier = -0.5; }),
            "dry_multiplier: wanted a number >= 0, got -0.5");
  EXPECT_EQ(complaint([](P& p) { p.dry_base = 0.5; }), "dry_base: wanted a number >= 1, got 0.5");
  EXPECT_EQ(complaint([](P& p) { p.dry_allowed_length = -1; }),
            "dry_allowed_length: wanted an integer >= 0, got -1");
  EXPECT_EQ(complaint([](P& p) { p.dry_penalty_last_n = -2; }),
            "dry_penalty_last_n: wanted an integer >= -1, got -2");
  EXPECT_EQ(complaint([](P& p) {
              p.dry_breakers = {3, 99};
            }),
            "dry_breakers: wanted token ids from 0 to 36, got 99");
}

TEST(SamplingParams, DeviceTakesWhatItCanKnowOfTheHistory) {
  const auto fits = [](const std::function<void(SamplingParams&)>& change) {
    SamplingParams params{.temperature = 1, .top_k = 5, .top_p = 0.5, .min_p = 0.1, .seed = 1};
    change(params);
    return fits_device(params);
  };
  using P = SamplingParams;
  EXPECT_TRUE(fits([](P&) {}));
  EXPECT_TRUE(fits([](P& p) { p.dry_breakers = {1}; }));
  EXPECT_TRUE(fits([](P& p) { p.repetition_penalty = 1.1; }));
  EXPECT_TRUE(fits([](P& p) { p.frequency_penalty = 0.1; }));
  EXPECT_TRUE(fits([](P& p) { p.presence_penalty = -0.1; }));
  EXPECT_TRUE(fits([](P& p) { p.logit_bias[1] = 1; }));
  EXPECT_TRUE(fits([](P& p) { p.bad_words = {{3}}; }));
  EXPECT_FALSE(fits([](P& p) { p.bad_words = {{3, 4}}; }));
  EXPECT_FALSE(fits([](P& p) { p.dry_multiplier = 1; }));
}

}  // namespace
}  // namespace continuo::engine
