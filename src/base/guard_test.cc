#include "base/guard.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

namespace continuo {
namespace {

TEST(Guard, ReturnsWhatTheFunctionReturns) {
  const Result<int> good = guarded([]() -> Result<int> { return 7; });
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 7);
  const Status bad = guarded([]() -> Status { return error(ErrorCode::kCorrupt, "bent"); });
  EXPECT_EQ(bad.error().code, ErrorCode::kCorrupt);
}

TEST(Guard, AnExceptionBecomesAnError) {
  const auto thrown = [](auto exception) {
    return guarded([&]() -> Status { throw exception; }).error();
  };
  EXPECT_EQ(thrown(std::bad_alloc()).code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(thrown(std::bad_alloc()).message, "out of memory");
  EXPECT_EQ(thrown(std::runtime_error("broken")).code, ErrorCode::kInternal);
  EXPECT_EQ(thrown(std::runtime_error("broken")).message, "broken");
  EXPECT_EQ(thrown(7).message, "unknown error");
}

}  // namespace
}  // namespace continuo
