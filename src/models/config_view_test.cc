#include "models/config_view.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

namespace continuo::models {
namespace {

using nlohmann::json;

std::string refusal(const std::function<void()>& read) {
  try {
    read();
  } catch (const ConfigError& failure) {
    return failure.what();
  }
  return "";
}

class ConfigViewTest : public testing::Test {
 protected:
  const json object_ = json::parse(R"({
    "size": 48, "whole": 32.0, "half": 0.5, "negative": -3, "zero": 0, "huge": 2147483649,
    "vast": 1e300, "yes": true, "word": "silu", "none": null,
    "sizes": [1, -2, 3], "reals": [1, 0.5], "words": ["a", "b"], "mixed": [1, "a"],
    "inner": {"size": 7}, "long": "0123456789012345678901234567890123456789012345678901234567890123"
  })");
  const ConfigView view_{object_, "model/config.json"};
};

TEST_F(ConfigViewTest, Sizes) {
  EXPECT_EQ(view_.size("size"), 48);
  EXPECT_EQ(view_.size("whole"), 32);
  EXPECT_EQ(view_.size("none", 5), 5);
  EXPECT_EQ(view_.size("absent", 0), 0);
  EXPECT_EQ(view_.size({"absent", "none", "size"}), 48);
  EXPECT_EQ(refusal([&] { view_.size("absent"); }),
            "model/config.json: \"absent\" is missing (wanted a positive integer)");
  EXPECT_EQ(refusal([&] {
              view_.size({"none", "absent"});
            }),
            "model/config.json: \"none\" or \"absent\" is missing (wanted a positive integer)");
  for (const char* key : {"half", "negative", "zero", "huge", "vast", "yes", "word", "sizes"}) {
    EXPECT_EQ(
        refusal([&] { view_.size(key); }),
        fmt::format("model/config.json: \"{}\": wanted an integer from 1 to 2147483647, got {}",
                    key, object_[key].dump()));
    EXPECT_NE(refusal([&] { view_.size(key, 1); }), "") << key;
  }
}

TEST_F(ConfigViewTest, OptionalSizesAreAbsentByZeroAndNull) {
  EXPECT_EQ(view_.optional_size("size", 5), 48);
  EXPECT_EQ(view_.optional_size("absent", 5), 5);
  EXPECT_EQ(view_.optional_size("zero", 5), 0);
  EXPECT_EQ(view_.optional_size("none", 5), 0);
  EXPECT_EQ(view_.optional_size({"none", "size"}, 5), 48);
  EXPECT_EQ(view_.optional_size({"absent", "none"}, 5), 0);
  for (const char* key : {"half", "negative", "huge", "word"})
    EXPECT_NE(refusal([&] { view_.optional_size(key, 5); }), "") << key;
}

TEST_F(ConfigViewTest, Numbers) {
  EXPECT_EQ(view_.number("half"), 0.5);
  EXPECT_EQ(view_.number("negative", 1), -3);
  EXPECT_EQ(view_.number("none", 1.5), 1.5);
  EXPECT_EQ(view_.integer("negative", 1), -3);
  EXPECT_EQ(view_.integer("absent", 9), 9);
  EXPECT_EQ(refusal([&] { view_.number("word"); }),
            "model/config.json: \"word\": wanted a number, got \"silu\"");
  EXPECT_EQ(refusal([&] { view_.integer("half", 1); }),
            "model/config.json: \"half\": wanted an integer, got 0.5");
  EXPECT_NE(refusal([&] { view_.integer("huge", 1); }), "");
}

TEST_F(ConfigViewTest, FlagsAndTexts) {
  EXPECT_TRUE(view_.flag("yes", false));
  EXPECT_TRUE(view_.flag("absent", true));
  EXPECT_FALSE(view_.flag("none", true));
  EXPECT_FALSE(view_.flag({"absent", "none"}, true));
  EXPECT_TRUE(view_.flag({"none", "yes"}, false));
  EXPECT_EQ(view_.text("word"), "silu");
  EXPECT_EQ(view_.text("absent", "gelu"), "gelu");
  EXPECT_EQ(refusal([&] { view_.flag("zero", true); }),
            "model/config.json: \"zero\": wanted true or false, got 0");
  EXPECT_EQ(refusal([&] { view_.text("yes"); }),
            "model/config.json: \"yes\": wanted a string, got true");
  EXPECT_EQ(refusal([&] { view_.text("absent"); }),
            "model/config.json: \"absent\" is missing (wanted a string)");
}

TEST_F(ConfigViewTest, Lists) {
  EXPECT_EQ(view_.integers("sizes"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(view_.numbers("reals"), (std::vector<float>{1, 0.5}));
  EXPECT_EQ(view_.strings("words"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(view_.integers("absent").empty());
  EXPECT_TRUE(view_.numbers("none").empty());
  EXPECT_TRUE(view_.strings("absent").empty());
  EXPECT_EQ(refusal([&] { view_.integers("mixed"); }),
            "model/config.json: \"mixed\": wanted a list of integers, got \"a\"");
  EXPECT_EQ(refusal([&] { view_.numbers("mixed"); }),
            "model/config.json: \"mixed\": wanted a list of numbers, got \"a\"");
  EXPECT_EQ(refusal([&] { view_.strings("mixed"); }),
            "model/config.json: \"mixed\": wanted a list of strings, got 1");
  EXPECT_EQ(refusal([&] { view_.integers("word"); }),
            "model/config.json: \"word\": wanted a list, got \"silu\"");
  EXPECT_NE(refusal([&] { view_.numbers("size"); }), "");
  EXPECT_NE(refusal([&] { view_.strings("size"); }), "");
}

TEST_F(ConfigViewTest, Objects) {
  EXPECT_EQ(view_.object("inner").size("size"), 7);
  EXPECT_EQ(view_.object("inner").where(), "model/config.json: inner");
  EXPECT_FALSE(view_.object("absent").has("size"));
  EXPECT_EQ(refusal([&] { view_.object("inner").size("x"); }),
            "model/config.json: inner: \"x\" is missing (wanted a positive integer)");
  EXPECT_EQ(refusal([&] { view_.object("size"); }),
            "model/config.json: \"size\": wanted an object, got 48");
  EXPECT_EQ(refusal([&] { ConfigView(object_["sizes"], "file"); }),
            "file: wanted a JSON object, got [1,-2,3]");
}

TEST_F(ConfigViewTest, LongValuesAreCut) {
  const std::string message = refusal([&] { view_.size("long"); });
  EXPECT_LT(message.size(), 150u);
  EXPECT_TRUE(message.ends_with("...")) << message;
}

}  // namespace
}  // namespace continuo::models
