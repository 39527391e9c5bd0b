#include "base/progress.h"

#include <gtest/gtest.h>

namespace continuo {
namespace {

// Captured, stderr is a file: no terminal.
TEST(Progress, IsSilentWithoutATerminal) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  for (const bool enabled : {true, false}) {
    Progress progress("loading", 10, enabled);
    for (int i = 0; i < 12; ++i) progress.advance(1, "tensor");
    Progress("nothing to do", 0, enabled).advance(1);
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace continuo
