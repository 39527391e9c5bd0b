#include "server/fields.h"

#include "server/owned_json.h"

#include <gmock/gmock.h>

namespace continuo::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string refusal(std::string_view text) {
  const auto body = parse_body(text);
  return body.ok() ? "" : body.error().message;
}

TEST(ParseBody, KeepsTheOrderOfKeys) {
  EXPECT_EQ(dump(**parse_body(R"({"z": 1, "a": {"y": 2, "b": 3}})")),
            R"({"z":1,"a":{"y":2,"b":3}})");
}

TEST(ParseBody, RefusesWhatIsNoObject) {
  for (const char* text : {"", "{", "[]", "7", "null", "\"a\"", "{\"a\":1}x", "{\"a\":NaN}",
                           "{\"a\":1e999}", "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}", "{'a':1}"})
    EXPECT_THAT(refusal(text), HasSubstr("the body")) << text;
}

TEST(ParseBody, BoundsDepthAndKeys) {
  const auto nested = [](int depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(refusal(nested(63)), "");
  EXPECT_THAT(refusal(nested(64)), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(refusal(nested(1000000)), HasSubstr("nested"));
  std::string keys = "{\"a\":[{}";
  for (int i = 0; i < 3; ++i) keys += R"(,{"b":1})";
  keys += "]";
  for (int i = 0; i < 1023; ++i) keys += fmt::format(",\"k{}\":{}", i, i);
  EXPECT_EQ(refusal(keys + "}"), "");
  EXPECT_THAT(refusal(keys + ",\"more\":1}"), HasSubstr("more than 1024 keys"));
}

TEST(Fields, NamesTheFirstThatIsWrong) {
  const Json body = {{"a", 5}, {"b", "x"}, {"c", nullptr}, {"d", 5.0}, {"e", {1, 2}}};
  Fields fields(body, "outer.");
  EXPECT_EQ(fields.integer("a", 0, 9), 5);
  EXPECT_EQ(fields.integer("d", 0, 9), 5);
  EXPECT_EQ(fields.number("a"), 5.0);
  EXPECT_EQ(fields.string("b"), "x");
  EXPECT_EQ(fields.boolean("c"), std::nullopt);
  EXPECT_THAT(*fields.token_ids("e", 3), ElementsAre(1, 2));
  EXPECT_TRUE(fields.ok());
  EXPECT_EQ(fields.boolean("b"), std::nullopt);
  EXPECT_EQ(fields.number("b"), std::nullopt);
  EXPECT_EQ(fields.status().error().message, "outer.b: wanted true or false, got \"x\"");
}

TEST(Fields, WrongTypesAndRanges) {
  const auto message = [](const Json& value, auto read) {
    const Json body = {{"f", value}};
    Fields fields(body);
    read(fields);
    return fields.ok() ? "" : fields.status().error().message;
  };
  const auto integer = [](Fields& fields) { fields.integer("f", 1, 8); };
  for (const Json& wrong : {Json(0), Json(9), Json(1.5), Json("1"), Json(true), Json::object(),
                            Json(18446744073709551615u), Json(1e300)})
    EXPECT_THAT(message(wrong, integer), HasSubstr("f: wanted an integer from 1 to 8")) << wrong;
  const auto ids = [](Fields& fields) { fields.token_ids("f", 8); };
  EXPECT_EQ(message({1, 8}, ids), "f[1]: wanted a token id below 8, got 8");
  EXPECT_EQ(message({-1}, ids), "f[0]: wanted a token id below 8, got -1");
  EXPECT_EQ(message({1, "2"}, ids), "f[1]: wanted a token id below 8, got \"2\"");
  EXPECT_EQ(message("12", ids), "f: wanted a list of token ids, got \"12\"");
  const auto refuse = [](Fields& fields) { fields.refuse("f", {false, ""}, "no"); };
  EXPECT_EQ(message(false, refuse), "");
  EXPECT_EQ(message(true, refuse), "f: no");
}

TEST(Shown, CutsBetweenCharacters) {
  EXPECT_EQ(shown(Json(std::string(50, 'x'))), "\"" + std::string(39, 'x') + "...");
  std::string umlauts;
  for (int i = 0; i < 30; ++i) umlauts += "ä";
  EXPECT_EQ(shown(Json("a" + umlauts)), "\"a" + umlauts.substr(0, 38) + "...");
  EXPECT_EQ(shown(Json(umlauts)), "\"" + umlauts.substr(0, 38) + "...");
}

}  // namespace
}  // namespace continuo::server
