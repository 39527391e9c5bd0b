// Each rule of the scheduler on its own, steps committed one by one: shapes, budget, admission,
// ends.
#include "engine/scheduler.h"

#include "engine/scheduler_fixture_test.h"

namespace continuo::engine {
namespace {

using models::Head;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// --- a request's way ---

TEST_F(SchedulerTest, PrefillsThenDecodesInItsSlot) {
  submit({.id = 1, .prompt = 3, .max_tokens = 3});
  const StepPlan prefill = step();
  EXPECT_EQ(prefill.key, (StepKey{1, 4, 10, Head::kSample}));
  EXPECT_THAT(prefill.rows, ElementsAre(StepRow{{1, 0}, 0, 0, 3, true}));
  EXPECT_THAT(sampled(prefill), ElementsAre(SequenceId{1, 0}));
  const StepPlan decode = step();
  EXPECT_EQ(decode.key, (StepKey{kSlots, 1, 10, Head::kArgmax}));
  EXPECT_THAT(decode.rows, ElementsAre(StepRow{{1, 0}, 0, 3, 1, false}, StepRow{{}, 1, 0, 0, false},
                                       StepRow{{}, 2, 0, 0, false}));
  ASSERT_EQ(decode.samples.size(), 1u);
  EXPECT_EQ(decode.samples[0].index, 1);
  EXPECT_THAT(scheduler_.take_ended(), IsEmpty());
  step();
  EXPECT_THAT(scheduler_.take_ended(),
              ElementsAre(EndedSequence{{1, 0}, EndReason::kMaxTokens, 3}));
  EXPECT_TRUE(scheduler_.idle());
  EXPECT_FALSE(scheduler_.plan({}).has_value());
}

TEST_F(SchedulerTest, ALongPromptComesInChunksAndSamplesAtItsEnd) {
  submit({.id = 1, .prompt = 19, .max_tokens = 1});
  const StepPlan first = step(), second = step(), third = step();
  EXPECT_THAT(first.rows, ElementsAre(StepRow{{1, 0}, 0, 0, 8, true}));
  EXPECT_THAT(second.rows, ElementsAre(StepRow{{1, 0}, 0, 8, 8, true}));
  EXPECT_THAT(third.rows, ElementsAre(StepRow{{1, 0}, 0, 16, 3, true}));
  EXPECT_THAT(sampled(second), IsEmpty());
  EXPECT_EQ(sampled(third).size(), 1u);
  EXPECT_EQ(first.key.attended, 10);
  EXPECT_EQ(third.key, (StepKey{1, 4, 20, Head::kSample}));
}

TEST_F(SchedulerTest, ChunksNeverStallAStreamByMoreThanTheBudget) {
  submit({.id = 1, .prompt = 2, .max_tokens = 9});
  step();
  submit({.id = 2, .prompt = 20, .max_tokens = 9});
  std::vector<int64_t> columns;
  for (int i = 0; i < 6; ++i) columns.push_back(step().key.columns);
  EXPECT_THAT(columns, ElementsAre(1, 8, 1, 8, 1, 4));
}

TEST_F(SchedulerTest, ShortPromptsShareABudget) {
  submit({.id = 1, .prompt = 2, .max_tokens = 9});
  step();
  submit({.id = 2, .prompt = 3, .max_tokens = 9});
  submit({.id = 3, .prompt = 4, .max_tokens = 9});
  step();  // what the first prompt left of its budget, 5, is enough for a width of 4
  EXPECT_EQ(step().key.columns, 1);
  EXPECT_EQ(step().key.columns, 4);
  EXPECT_EQ(rows(step()).size(), 3u);
}

TEST_F(SchedulerTest, WithoutStreamsPromptsDoNotWaitForABudget) {
  submit({.id = 1, .prompt = 31, .max_tokens = 1});
  submit({.id = 2, .prompt = 31, .max_tokens = 1});
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(plan().rows[0].prompt);
}

TEST_F(SchedulerTest, AStepTakesTheHeadThatServesAllItsSamples) {
  submit({.id = 1, .prompt = 2, .max_tokens = 4});
  submit({.id = 2, .prompt = 9, .max_tokens = 2, .head = Head::kSample});
  EXPECT_EQ(step().key.head, Head::kSample);  // prefill: one graph for all
  EXPECT_EQ(step().key.head, Head::kArgmax);  // decode of 1
  EXPECT_EQ(step().key.head, Head::kSample);  // a chunk of 2
  EXPECT_EQ(step().key.head, Head::kArgmax);  // decode of 1
  EXPECT_EQ(step().key.head, Head::kSample);  // the last chunk of 2
  EXPECT_EQ(step().key.head, Head::kSample);  // decode of both
  SchedulerOptions options = small();
  options.argmax = false;
  make(options);
  submit({.id = 1, .prompt = 2, .max_tokens = 2});
  step();
  EXPECT_EQ(step().key.head, Head::kSample);
}

TEST_F(SchedulerTest, KeysAreAllThatPlansMayUse) {
  SchedulerOptions options = small();
  options.columns = {4, 16};
  options.prefill_budget = 16;
  options.argmax = false;
  make(options);
  const auto key = [](int64_t rows, int64_t columns, int64_t attended) {
    return StepKey{rows, columns, attended, Head::kSample};
  };
  // 16 columns do not fit 10 positions.
  EXPECT_THAT(scheduler_.keys(), testing::UnorderedElementsAre(
                                     key(3, 1, 10), key(3, 1, 20), key(3, 1, 32), key(1, 4, 10),
                                     key(1, 4, 20), key(1, 4, 32), key(1, 16, 20), key(1, 16, 32)));
  submit({.id = 1, .prompt = 6, .max_tokens = 1});
  EXPECT_EQ(step().key, key(1, 16, 20));
}

// --- admission ---

TEST_F(SchedulerTest, RefusesWhatCouldNeverRun) {
  const auto invalid = [&](SchedulerRequest request) {
    return refused(request, ErrorCode::kInvalidArgument);
  };
  EXPECT_THAT(invalid({.id = 1, .prompt = 0, .max_tokens = 1}), HasSubstr("empty"));
  EXPECT_THAT(invalid({.id = 1, .prompt = 32, .max_tokens = 1}),
              HasSubstr("a context of 32 wanted at most 31 tokens, got 32"));
  EXPECT_THAT(invalid({.id = 1, .prompt = 3, .max_tokens = 0}), HasSubstr("max_tokens"));
  EXPECT_THAT(invalid({.id = 1, .prompt = 3, .max_tokens = 1, .choices = 4}),
              HasSubstr("n: wanted between 1 and the number of slots, 3, got 4"));
  submit({.id = 4, .prompt = 31, .max_tokens = 1});
  EXPECT_THAT(invalid({.id = 4, .prompt = 3, .max_tokens = 1}), HasSubstr("above 4, got 4"));
}

TEST_F(SchedulerTest, AFullQueueIsExhausted) {
  for (uint64_t id = 1; id <= 5; ++id) submit({.id = id, .prompt = 1, .max_tokens = 1});
  EXPECT_THAT(refused({.id = 6, .prompt = 1, .max_tokens = 1}, ErrorCode::kResourceExhausted),
              HasSubstr("5 requests wait"));
  step();
  submit({.id = 6, .prompt = 1, .max_tokens = 1});
}

TEST_F(SchedulerTest, AdmitsInTheOrderOfArrival) {
  std::vector<uint64_t> admitted;
  for (uint64_t id = 1; id <= 5; ++id)
    submit({.id = id, .prompt = int64_t(3 + id % 2 * 9), .max_tokens = int64_t(9 - id)});
  while (!scheduler_.idle())
    if (const StepPlan next = step(); next.rows[0].prompt && next.rows[0].start == 0)
      admitted.push_back(next.rows[0].sequence.request);
  EXPECT_THAT(admitted, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(scheduler_.take_ended().size(), 5u);
}

TEST_F(SchedulerTest, StatsCountWhatIs) {
  submit({.id = 1, .prompt = 3, .max_tokens = 3});
  submit({.id = 2, .prompt = 12, .max_tokens = 9});
  const StepPlan first = plan();
  SchedulerStats stats = scheduler_.stats();
  EXPECT_EQ(stats.waiting, 1);
  EXPECT_EQ(stats.running, 1);
  EXPECT_EQ(stats.slots_in_use, 1);
  EXPECT_EQ(stats.kv_positions, 3);
  EXPECT_EQ(stats.generated_tokens, 0);
  commit(first);
  step(), step();  // a token of 1, a chunk of 2
  stats = scheduler_.stats();
  EXPECT_EQ(stats.waiting, 0);
  EXPECT_EQ(stats.running, 2);
  EXPECT_EQ(stats.kv_positions, 4 + 8);
  EXPECT_EQ(stats.prefill_tokens, 3 + 8);
  EXPECT_EQ(stats.generated_tokens, 2);
}

TEST_F(SchedulerTest, OptionsAreChecked) {
  EXPECT_TRUE(check(small()).ok());
  const auto message = [](auto change) {
    SchedulerOptions options = small();
    change(options);
    const Status status = check(options);
    return status.ok() ? "accepted" : status.error().message;
  };
  EXPECT_THAT(message([](auto& o) { o.slots = 0; }), HasSubstr("slots: wanted at least 1, got 0"));
  EXPECT_THAT(message([](auto& o) { o.context = 1; }), HasSubstr("context"));
  EXPECT_THAT(message([](auto& o) { o.max_queue = 0; }), HasSubstr("max_queue"));
  EXPECT_THAT(message([](auto& o) { o.columns.clear(); }), HasSubstr("columns"));
  EXPECT_THAT(message([](auto& o) { o.columns = {8, 8}; }), HasSubstr("got 8 after 8"));
  EXPECT_THAT(message([](auto& o) { o.prefill_budget = 7; }), HasSubstr("from 1 to 7"));
  EXPECT_THAT(message([](auto& o) { o.attended = {10, 20}; }), HasSubstr("the context of 32"));
  for (const int64_t context : {2, 64, 300, 2048}) {
    const SchedulerOptions options = default_scheduler_options(4, context);
    const Status status = check(options);
    EXPECT_TRUE(status.ok()) << context << ": " << status.error().message;
  }
}

TEST(SchedulerOptions, DefaultsFollowTheDevice) {
  const SchedulerOptions wide = default_scheduler_options(3, 4096, {.columns = 2048});
  EXPECT_THAT(wide.columns, ElementsAre(16, 64, 256, 1024, 2048));
  EXPECT_THAT(wide.attended, ElementsAre(256, 512, 1024, 2048, 4096));
  EXPECT_EQ(wide.prefill_budget, 2048);
  EXPECT_THAT(default_scheduler_options(3, 300, {.columns = 2048}).columns,
              ElementsAre(16, 64, 256, 300));
  // Nothing is read beyond what a row sees: one length for all, and so one graph a width and head.
  const SchedulerOptions in_place = default_scheduler_options(3, 4096, {512, true});
  EXPECT_THAT(in_place.attended, ElementsAre(4096));
  EXPECT_EQ(Scheduler(in_place).keys().size(), 2 + in_place.columns.size());
}

TEST(SchedulerOptions, AWideStepIsAtMostHalfPadding) {
  const SchedulerOptions options = default_scheduler_options(3, 4096, {.columns = 2048});
  for (const auto& [left, chunk] : {std::pair<int64_t, int64_t>{7, 7},
                                    {200, 200},
                                    {300, 256},
                                    {512, 256},
                                    {513, 513},
                                    {1024, 1024},
                                    {1025, 1025},
                                    {5000, 2048}})
    EXPECT_EQ(chunk_of(options, left), chunk) << left;
}

// --- ends ---

TEST_F(SchedulerTest, AStoppedSequenceFreesItsSlotForTheNextStep) {
  make({.slots = 1, .context = 32, .columns = {4, 8}, .attended = {32}});
  submit({.id = 1, .prompt = 3, .max_tokens = 9});
  submit({.id = 2, .prompt = 2, .max_tokens = 9});
  step();
  commit(plan(), {{1, 0}});
  EXPECT_THAT(scheduler_.take_ended(), ElementsAre(EndedSequence{{1, 0}, EndReason::kStop, 2}));
  EXPECT_THAT(plan().rows, ElementsAre(StepRow{{2, 0}, 0, 0, 2, true}));
}

TEST_F(SchedulerTest, AStopIsToldFromTheLengthEvenAtTheLastToken) {
  submit({.id = 1, .prompt = 3, .max_tokens = 1});
  commit(plan(), {{1, 0}});
  EXPECT_THAT(scheduler_.take_ended(), ElementsAre(EndedSequence{{1, 0}, EndReason::kStop, 1}));
}

TEST_F(SchedulerTest, TheContextEndsASequenceAfterItsLastPositionIsFed) {
  submit({.id = 1, .prompt = 30, .max_tokens = 99});
  StepPlan last;
  while (!scheduler_.idle()) last = step();
  EXPECT_THAT(rows(last), ElementsAre(StepRow{{1, 0}, 0, 31, 1, false}));
  EXPECT_THAT(scheduler_.take_ended(),
              ElementsAre(EndedSequence{{1, 0}, EndReason::kContextFull, 3}));
}

TEST_F(SchedulerTest, CancelsWhatWaitsAndWhatRuns) {
  submit({.id = 1, .prompt = 12, .max_tokens = 9});
  submit({.id = 2, .prompt = 2, .max_tokens = 9, .choices = 2});
  step();
  EXPECT_TRUE(scheduler_.cancel(1));  // between its chunks
  EXPECT_TRUE(scheduler_.cancel(2));
  EXPECT_FALSE(scheduler_.cancel(2));
  EXPECT_THAT(scheduler_.take_ended(),
              ElementsAre(EndedSequence{{1, 0}, EndReason::kCancelled, 0},
                          EndedSequence{{2, 0}, EndReason::kCancelled, 0},
                          EndedSequence{{2, 1}, EndReason::kCancelled, 0}));
  EXPECT_TRUE(scheduler_.idle());
  EXPECT_EQ(scheduler_.stats().slots_in_use, 0);
}

TEST_F(SchedulerTest, ACancelEndsAllChoices) {
  submit({.id = 1, .prompt = 2, .max_tokens = 9, .choices = 3});
  step(), step();
  EXPECT_TRUE(scheduler_.cancel(1));
  EXPECT_EQ(scheduler_.take_ended().size(), 3u);
  EXPECT_TRUE(scheduler_.idle());
  expect_integrity();
}

TEST_F(SchedulerTest, DeadlinesEndWhatWaitsAndWhatRuns) {
  submit({.id = 1, .prompt = 2, .max_tokens = 9, .deadline = at(3)});
  submit({.id = 2, .prompt = 20, .max_tokens = 9});
  submit({.id = 3, .prompt = 2, .max_tokens = 9, .deadline = at(2)});
  commit(plan(at(0)));
  commit(plan(at(1)));
  EXPECT_THAT(scheduler_.take_ended(), IsEmpty());
  commit(plan(at(2)));
  EXPECT_THAT(scheduler_.take_ended(), ElementsAre(EndedSequence{{3, 0}, EndReason::kDeadline, 0}));
  const StepPlan late = plan(at(3));
  EXPECT_THAT(scheduler_.take_ended(), ElementsAre(EndedSequence{{1, 0}, EndReason::kDeadline, 2}));
  EXPECT_THAT(rows(late), ElementsAre(StepRow{{2, 0}, 1, 8, 8, true}));
}

TEST_F(SchedulerTest, AFailureEndsWhatRunsAndTheQueueContinues) {
  for (uint64_t id = 1; id <= 4; ++id) submit({.id = id, .prompt = 2, .max_tokens = 9});
  for (int i = 0; i < 4; ++i) step();
  const StepPlan lost = plan();
  const int64_t running = scheduler_.stats().running;
  scheduler_.fail_all();
  expect_integrity();
  EXPECT_THAT(
      scheduler_.take_ended(),
      testing::AllOf(testing::SizeIs(running),
                     testing::Each(testing::Field(&EndedSequence::reason, EndReason::kFailed))));
  EXPECT_FALSE(scheduler_.commit(lost.number).ok());
  EXPECT_EQ(scheduler_.stats().slots_in_use, 0);
  const StepPlan next = plan();
  EXPECT_THAT(next.rows, ElementsAre(StepRow{{uint64_t(running + 1), 0}, 0, 0, 2, true}));
  EXPECT_GT(next.number, lost.number);
}

}  // namespace
}  // namespace continuo::engine
