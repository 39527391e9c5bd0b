#include "models/rope_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace continuo::models {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

RopeConfig read(const char* text, int64_t head_dim = 8, const RopeDefaults& defaults = {}) {
  const json object = json::parse(text);
  return read_rope(ConfigView(object), head_dim, defaults);
}

std::string refusal(const char* text, int64_t head_dim = 8) {
  try {
    read(text, head_dim);
  } catch (const ConfigError& failure) {
    return failure.what();
  }
  return "";
}

TEST(RopeConfig, Defaults) {
  const RopeConfig rope = read("{}");
  EXPECT_EQ(rope.type, "default");
  EXPECT_EQ(rope.theta, 10000);
  EXPECT_EQ(rope.dims, 8);
  EXPECT_FALSE(rope.switches_at());
  const RopeConfig family = read("{}", 8, {.theta = 500, .partial = 0.5, .interleaved = true});
  EXPECT_EQ(family.theta, 500);
  EXPECT_EQ(family.dims, 4);
  EXPECT_TRUE(family.interleaved);
  EXPECT_THAT(read(R"({"rope_theta": 16})", 4).rope(10).inv_freq, ElementsAre(1, 0.25));
}

// One meaning in the spelling of today and in those before it.
TEST(RopeConfig, SpellingsAgree) {
  const RopeConfig today = read(R"({"max_position_embeddings": 64, "rope_parameters":
      {"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0, "partial_rotary_factor": 0.5}})");
  const RopeConfig older = read(R"({"max_position_embeddings": 64, "rope_theta": 500.0,
      "rotary_pct": 0.5, "rope_scaling": {"type": "linear", "factor": 4.0}})");
  for (const RopeConfig& rope : {today, older}) {
    EXPECT_EQ(rope.type, "linear");
    EXPECT_EQ(rope.theta, 500);
    EXPECT_EQ(rope.factor, 4);
    EXPECT_EQ(rope.dims, 4);
    EXPECT_FLOAT_EQ(rope.rope(64).inv_freq[0], 0.25f);
  }
}

TEST(RopeConfig, LayerTypesHaveTheirOwn) {
  const char* text = R"({"rope_parameters": {"full_attention": {"rope_theta": 7.0},
                                             "sliding_attention": {"rope_theta": 9.0}}})";
  EXPECT_EQ(read(text, 8, {.layer_type = "full_attention"}).theta, 7);
  EXPECT_EQ(read(text, 8, {.layer_type = "sliding_attention"}).theta, 9);
}

TEST(RopeConfig, Llama3KeepsHighFrequenciesAndDividesLowOnes) {
  const RopeConfig rope = read(R"({"max_position_embeddings": 131072, "rope_theta": 500000.0,
      "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
      "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})",
                               128);
  const auto plain = read(R"({"rope_theta": 500000.0})", 128).rope(10).inv_freq;
  const auto turned = rope.rope(131072).inv_freq;
  EXPECT_FLOAT_EQ(turned.front(), plain.front());
  EXPECT_FLOAT_EQ(turned.back(), plain.back() / 8);
  EXPECT_THAT(refusal(R"({"max_position_embeddings": 8, "rope_scaling": {"rope_type": "llama3"}})"),
              HasSubstr("\"low_freq_factor\" is missing"));
}

TEST(RopeConfig, LongropeSwitchesAtTheOriginalLength) {
  const RopeConfig rope =
      read(R"({"max_position_embeddings": 64, "original_max_position_embeddings":
      16, "rope_scaling": {"type": "su", "short_factor": [1, 1], "long_factor": [2, 4]}})",
           4);
  EXPECT_EQ(rope.type, "longrope");
  EXPECT_EQ(rope.switches_at(), 16);
  EXPECT_FLOAT_EQ(rope.rope(16).inv_freq[0], 1);
  EXPECT_FLOAT_EQ(rope.rope(17).inv_freq[0], 0.5f);
  EXPECT_NEAR(rope.attention_factor, std::sqrt(1 + std::log(4) / std::log(16)), 1e-12);
  EXPECT_THAT(refusal(R"({"max_position_embeddings": 64, "rope_scaling":
                          {"type": "longrope", "short_factor": [1], "long_factor": [1, 2]}})",
                      4),
              HasSubstr("wanted 2 entries in short_factor and long_factor, got 1"));
}

// transformers 5.24: ROPE_INIT_FUNCTIONS["dynamic"] of factor 3 at 80 positions, trained for 32:
// the base is 10000 * (3 * 80 / 32 - 2)^(10 / 8).
TEST(RopeConfig, DynamicRaisesTheBaseBeyondTheTrainedLength) {
  const RopeConfig rope = read(R"({"max_position_embeddings": 32, "rope_scaling":
      {"type": "dynamic", "factor": 3.0}})",
                               10);
  const auto plain = read("{}", 10).rope(80).inv_freq;
  EXPECT_EQ(rope.switches_at(), 32);
  EXPECT_EQ(rope.rope(32).inv_freq, plain);
  const auto turned = rope.rope(80).inv_freq;
  const double base = 10000 * std::pow(5.5, 1.25);
  for (size_t i = 0; i < turned.size(); ++i)
    EXPECT_FLOAT_EQ(turned[i], float(std::pow(base, -2 * double(i) / 10))) << i;
  EXPECT_THAT(refusal(R"({"original_max_position_embeddings": 32, "rope_scaling":
                          {"type": "dynamic", "factor": 2.0}})"),
              HasSubstr("max_position_embeddings: wanted a positive number"));
}

TEST(RopeConfig, YarnReadsItsSettings) {
  const RopeConfig rope = read(R"({"max_position_embeddings": 64, "rope_parameters": {"rope_type":
      "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 16.0,
      "rope_theta": 1000.0, "truncate": false}})");
  EXPECT_EQ(rope.yarn.factor, 4);
  EXPECT_EQ(rope.yarn.original_positions, 16);
  EXPECT_EQ(rope.yarn.beta_fast, 16);
  EXPECT_EQ(rope.yarn.beta_slow, 1);
  EXPECT_EQ(rope.yarn.theta, 1000);
  EXPECT_FALSE(rope.yarn.truncate);
  EXPECT_NEAR(rope.rope(64).scale, 0.1 * std::log(4) + 1, 1e-6);
}

TEST(RopeConfig, OtherNames) {
  EXPECT_EQ(read(R"({"rope_scaling": {"type": "mrope"}})").type, "default");
  EXPECT_EQ(read(R"({"max_position_embeddings": 64, "rope_scaling": {"type": "dynamic",
                     "factor": 2}})")
                .rope(64)
                .inv_freq,
            read("{}").rope(64).inv_freq);
}

TEST(RopeConfig, RefusesNonsense) {
  EXPECT_THAT(refusal(R"({"max_position_embeddings": 8, "rope_scaling": {"type": "spiral"}})"),
              HasSubstr("rope type \"spiral\" is not supported; known: default, linear"));
  EXPECT_THAT(refusal(R"({"partial_rotary_factor": 0})"), HasSubstr("wanted 0 < f <= 1, got 0"));
  EXPECT_THAT(refusal(R"({"partial_rotary_factor": 1.5})"), HasSubstr("wanted 0 < f <= 1"));
  EXPECT_THAT(refusal("{}", 7),
              HasSubstr("wanted an even number of rotary dimensions, at most 65536, got 7 of 7"));
  EXPECT_THAT(refusal("{}", int64_t{1} << 31), HasSubstr("rotary dimensions"));
  EXPECT_THAT(refusal(R"({"rope_scaling": {"type": "yarn", "factor": 2}})"),
              HasSubstr("original_max_position_embeddings"));
  EXPECT_THAT(refusal(R"({"rope_theta": 0})"), HasSubstr("rope_theta"));
  EXPECT_THAT(refusal(R"({"max_position_embeddings": 8, "rope_scaling":
                          {"type": "linear", "factor": 0}})"),
              HasSubstr("factor"));
}

}  // namespace
}  // namespace continuo::models
