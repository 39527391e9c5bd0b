// Plans ahead of the tokens, and requests of several choices.
#include "engine/scheduler.h"
#include "engine/scheduler_fixture_test.h"

namespace continuo::engine {
namespace {

using SchedulerOverlapTest = SchedulerTest;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// --- overlap ---

TEST_F(SchedulerOverlapTest, PlansAheadOfTheTokens) {
  submit({.id = 1, .prompt = 3, .max_tokens = 3});
  const StepPlan prefill = plan(), second = plan(), third = plan();
  EXPECT_THAT(rows(second), ElementsAre(StepRow{{1, 0}, 0, 3, 1, false}));
  EXPECT_THAT(rows(third), ElementsAre(StepRow{{1, 0}, 0, 4, 1, false}));
  EXPECT_FALSE(scheduler_.plan({}).has_value());  // its end is known before its tokens
  EXPECT_FALSE(scheduler_.idle());
  commit(prefill), commit(second);
  EXPECT_THAT(scheduler_.take_ended(), IsEmpty());
  commit(third);
  EXPECT_EQ(scheduler_.take_ended().size(), 1u);
  EXPECT_EQ(scheduler_.stats().discarded_tokens, 0);
}

TEST_F(SchedulerOverlapTest, ASlotWhoseLastTokenIsPlannedIsFreeAtOnce) {
  make({.slots = 1, .context = 32, .columns = {4, 8}, .attended = {32}});
  submit({.id = 1, .prompt = 3, .max_tokens = 2});
  submit({.id = 2, .prompt = 2, .max_tokens = 2});
  plan(), plan();
  EXPECT_THAT(plan().rows, ElementsAre(StepRow{{2, 0}, 0, 0, 2, true}));
  EXPECT_TRUE(scheduler_.alive({1, 0}));  // its last token is still to come
}

TEST_F(SchedulerOverlapTest, ARowOfAnEndedSequenceIsDiscarded) {
  make({.slots = 1, .context = 32, .columns = {4, 8}, .attended = {32}});
  submit({.id = 1, .prompt = 3, .max_tokens = 9});
  submit({.id = 2, .prompt = 2, .max_tokens = 9});
  const StepPlan prefill = plan(), decode = plan();
  commit(prefill, {{1, 0}});
  EXPECT_FALSE(scheduler_.alive({1, 0}));
  const StepPlan next = plan();  // after `decode` on the device, which still feeds request 1
  EXPECT_THAT(next.rows, ElementsAre(StepRow{{2, 0}, 0, 0, 2, true}));
  commit(decode);
  EXPECT_EQ(scheduler_.stats().discarded_tokens, 1);
  commit(next);
  EXPECT_TRUE(scheduler_.alive({2, 0}));
  EXPECT_THAT(scheduler_.take_ended(), ElementsAre(EndedSequence{{1, 0}, EndReason::kStop, 1}));
}

TEST_F(SchedulerOverlapTest, CommitsComeInOrderAndNameWhatWasSampled) {
  submit({.id = 1, .prompt = 3, .max_tokens = 9});
  const StepPlan first = plan(), second = plan();
  const std::vector<SequenceId> stranger{{7, 0}};
  EXPECT_THAT(scheduler_.commit(second.number).error().message, HasSubstr("wanted step 0, got 1"));
  EXPECT_THAT(scheduler_.commit(first.number, stranger).error().message,
              HasSubstr("nothing for request 7/0"));
  EXPECT_EQ(scheduler_.stats().generated_tokens, 0);
  commit(first);
  commit(second);
  EXPECT_EQ(scheduler_.commit(2).error().code, ErrorCode::kInvalidArgument);
}

// --- choices ---

TEST_F(SchedulerOverlapTest, ChoicesPrefillOnceAndFork) {
  submit({.id = 1, .prompt = 11, .max_tokens = 3, .choices = 3});
  EXPECT_THAT(sampled(step()), IsEmpty());
  const StepPlan prefill = step();
  EXPECT_THAT(prefill.rows, ElementsAre(StepRow{{1, 0}, 0, 8, 3, true}));
  ASSERT_THAT(sampled(prefill), ElementsAre(SequenceId{1, 0}, SequenceId{1, 1}, SequenceId{1, 2}));
  for (const StepSample& each : prefill.samples) EXPECT_EQ(each.row, 0u);
  const StepPlan decode = step();
  EXPECT_THAT(decode.forks, ElementsAre(SlotFork{0, 1, 11}, SlotFork{0, 2, 11}));
  EXPECT_EQ(rows(decode).size(), 3u);
  EXPECT_THAT(step().forks, IsEmpty());
  EXPECT_EQ(scheduler_.take_ended().size(), 3u);
}

TEST_F(SchedulerOverlapTest, ChoicesThatEndedWithTheirFirstTokenAreNotCopied) {
  submit({.id = 1, .prompt = 3, .max_tokens = 9, .choices = 3});
  submit({.id = 2, .prompt = 2, .max_tokens = 9});
  commit(plan(), {{1, 0}, {1, 2}});
  const StepPlan next = plan();
  // Choice 0's slot has a new owner in this very step; the copy is made before it.
  EXPECT_THAT(next.forks, ElementsAre(SlotFork{0, 1, 3}));
  EXPECT_THAT(rows(next), ElementsAre(StepRow{{2, 0}, 0, 0, 2, true}));
  commit(next);
  EXPECT_EQ(rows(plan()).size(), 2u);
  make(small());
  submit({.id = 1, .prompt = 3, .max_tokens = 1, .choices = 3});
  const StepPlan only = plan();
  EXPECT_FALSE(scheduler_.plan({}).has_value());
  commit(only);
  EXPECT_EQ(scheduler_.take_ended().size(), 3u);
}

TEST_F(SchedulerOverlapTest, ChoicesWaitForTheirSlotsAndNobodyOvertakes) {
  submit({.id = 1, .prompt = 2, .max_tokens = 2});
  submit({.id = 2, .prompt = 2, .max_tokens = 4});
  submit({.id = 3, .prompt = 2, .max_tokens = 2, .choices = 2});
  submit({.id = 4, .prompt = 2, .max_tokens = 2});
  std::vector<uint64_t> admitted;
  while (!scheduler_.idle())
    for (const StepRow& row : rows(step()))
      if (row.prompt) admitted.push_back(row.sequence.request);
  EXPECT_THAT(admitted, ElementsAre(1, 2, 3, 4));
}

}  // namespace
}  // namespace continuo::engine
