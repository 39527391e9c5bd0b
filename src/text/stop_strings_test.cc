#include "text/stop_strings.h"

#include <gmock/gmock.h>

#include <random>

namespace continuo::text {
namespace {

TEST(StopStrings, HoldsBackOnlyWhatMayBecomeAStop) {
  StopStrings stops({"</s>", "\n\n"});
  EXPECT_EQ(stops.push("a <"), "a ");
  EXPECT_EQ(stops.push("b"), "<b");
  EXPECT_EQ(stops.push("\n"), "");
  EXPECT_EQ(stops.push("c</"), "\nc");
  EXPECT_EQ(stops.push("s"), "");
  EXPECT_FALSE(stops.stopped());
  EXPECT_EQ(stops.push("> more"), "");
  EXPECT_TRUE(stops.stopped());
  EXPECT_EQ(stops.matched(), "</s>");
  EXPECT_EQ(stops.push("even more"), "");
  EXPECT_EQ(stops.flush(), "");
}

TEST(StopStrings, FlushGivesWhatNeverBecameAStop) {
  StopStrings stops({"STOP"});
  EXPECT_EQ(stops.push("aSTO"), "a");
  EXPECT_EQ(stops.flush(), "STO");
  EXPECT_EQ(stops.flush(), "");
}

TEST(StopStrings, OverlappingBeginningsAreFound) {
  StopStrings stops({"aab"});
  EXPECT_EQ(stops.push("aa"), "");
  EXPECT_EQ(stops.push("a"), "a");
  EXPECT_EQ(stops.push("b"), "");
  EXPECT_TRUE(stops.stopped());
}

TEST(StopStrings, TheFirstToEndWinsAndTheLongestOfThose) {
  StopStrings first({"abcd", "bc"});
  EXPECT_EQ(first.push("xabcd"), "xa");
  EXPECT_EQ(first.matched(), "bc");
  StopStrings longest({"c", "bc"});
  EXPECT_EQ(longest.push("abcd"), "a");
  EXPECT_EQ(longest.matched(), "bc");
}

TEST(StopStrings, NeverSplitsACharacter) {
  StopStrings stops({"\xc3\xa9z", "\xa9q"});  // the second is no whole UTF-8
  EXPECT_EQ(stops.push("a\xc3\xa9"), "a");
  EXPECT_EQ(stops.push("b"),
            "\xc3\xa9"
            "b");
}

TEST(StopStrings, NoneAndEmptyOnesPassEverything) {
  StopStrings none(std::vector<std::string>{});
  EXPECT_EQ(none.push("text"), "text");
  StopStrings empty({""});
  EXPECT_EQ(empty.push("text"), "text");
  EXPECT_FALSE(empty.stopped());
}

TEST(StopStrings, AnyCuttingOfTheTextGivesTheSame) {
  const std::string text = "ababab</s>cd\n\nUser: x";
  const std::vector<std::string> list = {"User:", "\n\nU", "</s>d"};
  for (size_t step = 1; step < 8; ++step) {
    StopStrings stops(list);
    std::string out;
    for (size_t at = 0; at < text.size(); at += step) out += stops.push(text.substr(at, step));
    EXPECT_EQ(out + stops.flush(), "ababab</s>cd") << step;
    EXPECT_EQ(stops.matched(), "\n\nU");
  }
}

// What the class promises, looked for in the whole text at each byte.
std::pair<std::string, std::string> cut_plainly(const std::string& text,
                                                const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    const std::string_view so_far = std::string_view(text).substr(0, end);
    std::string_view longest;
    for (const std::string& stop : stops)
      if (so_far.ends_with(stop) && stop.size() > longest.size()) longest = stop;
    if (!longest.empty()) return {text.substr(0, end - longest.size()), std::string(longest)};
  }
  return {text, ""};
}

TEST(StopStrings, RandomTextsAreCutWhereADefinitionCutsThem) {
  std::mt19937 random(11);
  const auto word = [&](size_t least, size_t span) {
    std::string text(least + random() % span, 'a');
    for (char& each : text) each = static_cast<char>('a' + random() % 2);
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> list;
    for (uint32_t i = 0; i <= random() % 4; ++i) list.push_back(word(2, 7));
    const std::string text = word(1, 40);
    StopStrings stops(list);
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t step = 1 + random() % 5;
      out += stops.push(std::string_view(text).substr(at, step));
      at += step;
      if (stops.stopped()) continue;
      // All that cannot begin a stop string is out.
      const std::string_view held =
          std::string_view(text).substr(out.size(), std::min(at, text.size()) - out.size());
      ASSERT_TRUE(held.empty() ||
                  std::any_of(list.begin(), list.end(),
                              [&](const auto& stop) { return stop.starts_with(held); }))
          << text << " holds " << held;
    }
    const auto [wanted, matched] = cut_plainly(text, list);
    ASSERT_EQ(out + stops.flush(), wanted) << text;
    ASSERT_EQ(stops.matched(), matched) << text;
  }
}

}  // namespace
}  // namespace continuo::text
