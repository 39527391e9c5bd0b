// For the scheduler's tests: a scheduler of three small slots, checked after every step.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/scheduler.h"

namespace continuo::engine {

inline bool operator==(const StepRow& a, const StepRow& b) {
  return a.sequence == b.sequence && a.slot == b.slot && a.start == b.start &&
         a.length == b.length && a.prompt == b.prompt;
}
inline bool operator==(const SlotFork& a, const SlotFork& b) {
  return a.from == b.from && a.to == b.to && a.positions == b.positions;
}
inline bool operator==(const EndedSequence& a, const EndedSequence& b) {
  return a.sequence == b.sequence && a.reason == b.reason && a.tokens == b.tokens;
}
inline void PrintTo(const StepRow& row, std::ostream* out) {
  *out << row.sequence.request << "/" << row.sequence.choice << " slot " << row.slot << " start "
       << row.start << " length " << row.length << (row.prompt ? " prompt" : "");
}
inline void PrintTo(const EndedSequence& ended, std::ostream* out) {
  *out << ended.sequence.request << "/" << ended.sequence.choice << " " << to_string(ended.reason)
       << " after " << ended.tokens;
}

inline constexpr int64_t kSlots = 3, kContext = 32;

inline TimePoint at(int64_t seconds) { return TimePoint{} + std::chrono::seconds(seconds); }

inline SchedulerOptions small() {
  return {.slots = kSlots,
          .context = kContext,
          .max_queue = 5,
          .prefill_budget = 9,
          .columns = {4, 8},
          .attended = {10, 20, 32}};
}

class SchedulerTest : public testing::Test {
 protected:
  void make(const SchedulerOptions& options) { scheduler_ = Scheduler(options); }
  void submit(SchedulerRequest request) {
    const Status status = scheduler_.submit(request);
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  std::string refused(SchedulerRequest request, ErrorCode code) {
    const Status status = scheduler_.submit(request);
    if (status.ok()) return "accepted";
    EXPECT_EQ(status.error().code, code);
    return status.error().message;
  }
  StepPlan plan(TimePoint now = {}) {
    auto plan = scheduler_.plan(now);
    EXPECT_TRUE(plan.has_value());
    expect_integrity();
    return plan.value_or(StepPlan{});
  }
  void commit(const StepPlan& plan, std::vector<SequenceId> stopped = {}) {
    const Status status = scheduler_.commit(plan.number, stopped);
    EXPECT_TRUE(status.ok()) << status.error().message;
    expect_integrity();
  }
  StepPlan step() {
    StepPlan next = plan();
    commit(next);
    return next;
  }
  void expect_integrity() {
    const Status status = scheduler_.check_integrity();
    EXPECT_TRUE(status.ok()) << status.error().message;
  }
  // The rows that are not idle.
  static std::vector<StepRow> rows(const StepPlan& plan) {
    std::vector<StepRow> rows;
    for (const StepRow& row : plan.rows)
      if (row.length > 0) rows.push_back(row);
    return rows;
  }
  static std::vector<SequenceId> sampled(const StepPlan& plan) {
    std::vector<SequenceId> ids;
    for (const StepSample& each : plan.samples) ids.push_back(each.sequence);
    return ids;
  }

  Scheduler scheduler_{small()};
};

}  // namespace continuo::engine
