#include "engine/context_warning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace continuo::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(ContextWarning, OnlyBeyondTheTrainedLength) {
  models::Facts facts;
  EXPECT_EQ(context_warning(facts, 1 << 20), "");  // recurrent families give no length
  facts.max_positions = 40;
  EXPECT_EQ(context_warning(facts, 40), "");
  EXPECT_THAT(context_warning(facts, 41),
              AllOf(HasSubstr("a context of 41 tokens"), HasSubstr("the 40 positions"),
                    Not(HasSubstr("rotary"))));
  facts.rope_switches_at = 40;
  EXPECT_THAT(context_warning(facts, 56), HasSubstr("rotary frequencies are those of 56 tokens"));
}

}  // namespace
}  // namespace continuo::engine
