#include "checkpoint/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace continuo::checkpoint {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json parsed(std::string_view text) {
  Result<json> result = parse_json(text, "config.json");
  EXPECT_TRUE(result.ok()) << text;
  return result.ok() ? *result : json();
}

std::string refusal(std::string_view text, const JsonOptions& options = {}) {
  Result<json> result = parse_json(text, "config.json", options);
  EXPECT_FALSE(result.ok()) << text;
  if (result.ok()) return "";
  EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
  return result.error().message;
}

TEST(Json, OrdinaryValues) {
  const json value = parsed(R"({"a": [1, -2, 2.5, true, null, "x"], "b": {"c": {}}})");
  EXPECT_EQ(value, json::parse(R"({"a": [1, -2, 2.5, true, null, "x"], "b": {"c": {}}})"));
  EXPECT_TRUE(value["a"][0].is_number_unsigned());
  EXPECT_TRUE(value["a"][1].is_number_integer());
}

TEST(Json, BareNonFiniteNumbers) {
  const json value = parsed(R"({"a": [0.0, Infinity], "b": -Infinity, "c":NaN})");
  EXPECT_EQ(value["a"][1].get<double>(), INFINITY);
  EXPECT_EQ(value["b"].get<double>(), -INFINITY);
  EXPECT_TRUE(std::isnan(value["c"].get<double>()));
  EXPECT_EQ(parsed("Infinity").get<double>(), INFINITY);
}

TEST(Json, FloatObjects) {
  const json value = parsed(R"([{"__float__": "Infinity"}, {"__float__": "-Infinity"},
                               {"__float__": "NaN"}, {"__float__": "3"}, {"__float__": 3}])");
  EXPECT_EQ(value[0].get<double>(), INFINITY);
  EXPECT_EQ(value[1].get<double>(), -INFINITY);
  EXPECT_TRUE(std::isnan(value[2].get<double>()));
  EXPECT_TRUE(value[3].is_object());
  EXPECT_TRUE(value[4].is_object());
}

TEST(Json, StringsAreLeftAlone) {
  const json value = parsed(R"({"NaN": "Infinity, NaN", "\"NaN": "\\", "x": "\\\"-Infinity"})");
  EXPECT_EQ(value["NaN"], "Infinity, NaN");
  EXPECT_EQ(value["\"NaN"], "\\");
  EXPECT_EQ(value["x"], "\\\"-Infinity");
}

TEST(Json, RefusesNearlyNonFinite) {
  for (const char* text : {"nan", "inf", "-NaN", "Infinityx", "1NaN", "+Infinity", "{NaN: 1}"})
    EXPECT_THAT(refusal(text), HasSubstr("config.json: invalid JSON")) << text;
}

TEST(Json, LastOfEqualKeysWinsUnlessRefused) {
  EXPECT_EQ(parsed(R"({"a": {"b": 1}, "a": 2})")["a"], 2);
  EXPECT_THAT(refusal(R"({"a": 1, "a": 2})", {.unique_keys = true}),
              HasSubstr("the key \"a\" is given twice"));
}

TEST(Json, ErrorsNameTheByte) {
  EXPECT_THAT(refusal("{\"a\": }"), HasSubstr("config.json: invalid JSON at byte 7 of 7"));
  // The respelled NaN before it does not shift the count.
  EXPECT_THAT(refusal("[NaN, }"), HasSubstr("at byte 7 of 7"));
  EXPECT_THAT(refusal(""), HasSubstr("invalid JSON"));
  EXPECT_THAT(refusal("{\"a\": 1} x"), HasSubstr("at byte 10"));
  EXPECT_THAT(refusal("[1e999]"), HasSubstr("invalid JSON"));
  EXPECT_LT(refusal("[" + std::string(100000, 'x') + "]").size(), 400u);
}

TEST(Json, RefusesInvalidUtf8WithPlainWords) {
  for (const char* text : {"\"\xff\"", "\"\xc3(\"", "\"\xed\xa0\x80\"", "\xff"}) {
    const std::string message = refusal(text);
    for (char c : message) EXPECT_LT(static_cast<unsigned char>(c), 0x80) << message;
  }
}

TEST(Json, NestingIsLimited) {
  const std::string fits = std::string(128, '[') + std::string(128, ']');
  EXPECT_TRUE(parse_json(fits, "x").ok());
  EXPECT_THAT(refusal("[" + fits + "]"), HasSubstr("at byte 129: nested deeper than 128 levels"));
  EXPECT_THAT(refusal(std::string(3000000, '[')), HasSubstr("nested deeper than 128 levels"));
  std::string objects;
  for (int i = 0; i < 200; ++i) objects += "{\"a\":";
  EXPECT_THAT(refusal(objects), HasSubstr("nested deeper than 128 levels"));
  EXPECT_TRUE(parse_json("\"" + std::string(500, '[') + "\"", "x").ok());  // inside a string
}

}  // namespace
}  // namespace continuo::checkpoint
