#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace continuo {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return error(ErrorCode::kInvalidArgument, "wanted even, got {}", number);
  return number / 2;
}

Result<int> quarter(int number) {
  CONTINUO_TRY(const int once, half(number));
  CONTINUO_TRY(const int twice, half(once));
  return twice;
}

Status even(int number) {
  CONTINUO_RETURN_IF_ERROR(half(number));
  return ok_status();
}

TEST(Result, TryPassesValuesAndErrorsOn) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(5).error().message, "wanted even, got 5");
  EXPECT_EQ(quarter(6).error().message, "wanted even, got 3");
  EXPECT_EQ(quarter(6).error().code, ErrorCode::kInvalidArgument);
}

TEST(Result, ReturnIfErrorPassesErrorsOn) {
  EXPECT_TRUE(even(4).ok());
  EXPECT_FALSE(even(3));
  EXPECT_EQ(even(3).error().message, "wanted even, got 3");
}

TEST(Result, TryMovesItsValue) {
  const auto owner = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
  const auto user = [&]() -> Result<int> {
    CONTINUO_TRY(std::unique_ptr<int> value, owner());
    return *value;
  };
  EXPECT_EQ(*user(), 7);
}

TEST(Result, EvaluatesItsExpressionOnce) {
  int calls = 0;
  const auto counted = [&]() -> Status {
    ++calls;
    return error(ErrorCode::kInternal, "no");
  };
  const auto user = [&]() -> Status {
    CONTINUO_RETURN_IF_ERROR(counted());
    return ok_status();
  };
  EXPECT_FALSE(user().ok());
  EXPECT_EQ(calls, 1);
}

TEST(Result, ContextComesFirst) {
  const Error failure = with_context(error(ErrorCode::kCorrupt, "bad {}", "header"), "file");
  EXPECT_EQ(failure.message, "file: bad header");
  EXPECT_EQ(failure.code, ErrorCode::kCorrupt);
  EXPECT_STREQ(to_string(failure.code), "corrupt");
}

}  // namespace
}  // namespace continuo
