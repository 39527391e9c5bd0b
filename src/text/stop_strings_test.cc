#include "text/stop_strings.h"

#include <gmock/gmock.h>

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
  StopStrings none({});
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

}  // namespace
}  // namespace continuo::text
