#include "engine/probe.h"

#include <gtest/gtest.h>

namespace continuo::engine {
namespace {

TEST(Feed, ReadsEachForm) {
  for (const auto& [text, columns] :
       {std::pair{"whole", 0}, std::pair{"token", 1}, std::pair{"chunk:1", 1},
        std::pair{"chunk:16", 16}, std::pair{"chunk:999999", 999999}}) {
    const auto feed = parse_feed(text);
    ASSERT_TRUE(feed.ok()) << text;
    EXPECT_EQ(feed->columns, columns);
  }
  for (const char* name : {"whole", "token", "chunk:16"}) EXPECT_EQ(parse_feed(name)->name(), name);
}

TEST(Feed, RefusesTheRest) {
  for (const char* text : {"", "Whole", "chunk", "chunk:", "chunk:0", "chunk:-1", "chunk:1x",
                           "chunk: 1", "chunk:1000000", "chunk:99999999999999999999", "token:2"}) {
    const auto feed = parse_feed(text);
    ASSERT_FALSE(feed.ok()) << text;
    EXPECT_EQ(feed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(feed.error().message,
              std::string("feed: wanted whole, token or chunk:K, got ") + text);
  }
}

TEST(ColumnBucket, IsAPowerOfTwoWithinTheContext) {
  EXPECT_EQ(column_bucket(1, 100), 1);
  EXPECT_EQ(column_bucket(5, 100), 8);
  EXPECT_EQ(column_bucket(64, 100), 64);
  EXPECT_EQ(column_bucket(65, 100), 100);
  EXPECT_EQ(column_bucket(100, 100), 100);
}

}  // namespace
}  // namespace continuo::engine
