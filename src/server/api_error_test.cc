#include "server/api_error.h"

#include <gtest/gtest.h>

namespace continuo::server {
namespace {

TEST(ApiError, NamesTheFieldAtFault) {
  const auto field = [](const char* message) {
    return api_error(Error{ErrorCode::kInvalidArgument, message}).param;
  };
  EXPECT_EQ(field("top_p: wanted 0 < p <= 1, got 2"), "top_p");
  EXPECT_EQ(field("messages[2].content[0].type: wanted"), "messages[2].content[0].type");
  EXPECT_EQ(field("the body is no JSON: ..."), "");
  EXPECT_EQ(field("no field"), "");
  EXPECT_EQ(field(": odd"), "");
}

TEST(ApiError, StatusFollowsTheKind) {
  const auto status = [](ErrorCode code) { return api_error(Error{code, "m"}).status; };
  EXPECT_EQ(status(ErrorCode::kInvalidArgument), 400);
  EXPECT_EQ(status(ErrorCode::kUnsupported), 400);
  EXPECT_EQ(status(ErrorCode::kNotFound), 404);
  EXPECT_EQ(status(ErrorCode::kResourceExhausted), 429);
  EXPECT_EQ(status(ErrorCode::kUnavailable), 503);
  EXPECT_EQ(status(ErrorCode::kCorrupt), 500);
  EXPECT_GT(api_error(Error{ErrorCode::kResourceExhausted, "m"}).retry_after_s, 0);
}

TEST(ApiError, IsOpenAisObject) {
  EXPECT_EQ(dump(to_json({404, "no \xff", "model_not_found", "model"})),
            R"({"error":{"message":"no �","type":"invalid_request_error","param":"model",)"
            R"("code":"model_not_found"}})");
  EXPECT_EQ(dump(to_json({500, "m"})),
            R"({"error":{"message":"m","type":"server_error","param":null,"code":null}})");
}

}  // namespace
}  // namespace continuo::server
