// A device that does not come back: clients are answered all the same, and the engine says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/engine_fixture_test.h"
#include "engine/step_clock.h"

namespace continuo::engine {
namespace {

using std::chrono::milliseconds;

class EngineWatchTest : public EngineTest {
 protected:
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
  // Until the engine says so; false after ten seconds.
  bool wait_for(Health health) const {
    for (int i = 0; i < 1000 && engine_->stats().health != health; ++i)
      std::this_thread::sleep_for(milliseconds(10));
    return engine_->stats().health == health;
  }
};

TEST_P(EngineWatchTest, ACancelIsAnsweredWhileAStepHangs) {
  for (const char* call : {"launch", "collect"}) {
    make();
    hang_in(call);
    Listener running, waiting;
    Request two = request(long_prompt(20), 20, running);
    two.choices = 2;
    const uint64_t first = submit(two);
    gate_->wait_held();
    const uint64_t second = submit(request({1, 2}, 5, waiting));
    const auto start = Clock::now();
    engine_->cancel(first);
    engine_->cancel(second);
    running.wait(2);
    waiting.wait();
    EXPECT_LT(seconds_since(start), 1.0);
    for (const int64_t choice : {0, 1})
      EXPECT_EQ(running.end(choice).finish, FinishReason::kCancelled);
    EXPECT_EQ(waiting.end().finish, FinishReason::kCancelled);
    EXPECT_EQ(waiting.end().prompt_tokens, 2);
    open();  // what the step thread has to say of them now is dropped
    Listener after;
    submit(request({1, 2, 3}, 9, after));
    after.wait();
    EXPECT_EQ(after.tokens(), fake_answer({1, 2, 3}, 9, kContext));
    EXPECT_TRUE(engine_->drain(TimePoint::max()));
    EXPECT_EQ(running.end(1).completion_tokens, int64_t(running.tokens(1).size()));
  }
}

TEST_P(EngineWatchTest, ADeadlineIsAnsweredWhileAStepHangs) {
  hang_in("collect");
  Listener late, patient;
  Request each = request(long_prompt(20), 20, late);
  each.deadline = Clock::now() + milliseconds(300);
  submit(each);
  submit(request({1, 2, 3}, 9, patient));
  const auto start = Clock::now();
  late.wait();
  EXPECT_EQ(late.end().finish, FinishReason::kDeadline);
  EXPECT_GT(seconds_since(start), 0.2);
  EXPECT_LT(seconds_since(start), 2.0);
  open();
  patient.wait();
  EXPECT_EQ(patient.tokens(), fake_answer({1, 2, 3}, 9, kContext));
  EXPECT_TRUE(late.tokens().empty()) << "nothing comes after an end";
}

TEST_P(EngineWatchTest, DrainingIsBoundedWhileAStepHangs) {
  hang_in("collect");
  Listener listener;
  submit(request(long_prompt(20), 20, listener));
  gate_->wait_held();
  const auto start = Clock::now();
  EXPECT_FALSE(engine_->drain(Clock::now() + milliseconds(100)));
  EXPECT_LT(seconds_since(start), 3.0);
  EXPECT_EQ(listener.end().finish, FinishReason::kCancelled);
  EXPECT_FALSE(engine_->stop(Clock::now() + milliseconds(50)));
  open();
  EXPECT_TRUE(engine_->stop(Clock::now() + std::chrono::seconds(60)));
}

TEST_P(EngineWatchTest, AStepThatDoesNotEndIsAHang) {
  std::atomic<int> told{0};
  std::string what;
  std::atomic<bool> health_first{false};
  Listener running, waiting, never;
  make({.step_timeout_s = 0.3, .on_hang = [&](const std::string& text) {
          health_first = engine_->stats().health == Health::kHung;
          what = text;
          ++told;
        }});
  hang_in("launch");
  submit(request(long_prompt(20), 20, running));
  gate_->wait_held();
  EXPECT_EQ(engine_->stats().health, Health::kOk);
  submit(request({1, 2}, 5, waiting));
  running.wait();
  waiting.wait();
  EXPECT_EQ(running.end().finish, FinishReason::kError);
  EXPECT_EQ(running.end().error, "the device does not answer");
  EXPECT_EQ(waiting.end().finish, FinishReason::kError);
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(health_first);
  EXPECT_EQ(what, "a step [1,4] has not ended within 0.3 s");
  EXPECT_EQ(refused(request({1}, 1, never), ErrorCode::kUnavailable),
            "the engine hangs and takes no more requests");
  const auto start = Clock::now();
  EXPECT_FALSE(engine_->drain(TimePoint::max()));
  EXPECT_LT(seconds_since(start), 3.0);
  open();
}

TEST_P(EngineWatchTest, FailingStepsShowUntilOneWorks) {
  std::atomic<bool> broken{true};
  runner_->on_call = [&](const std::string& call) {
    if (broken && call == "collect") throw std::runtime_error("no device");
  };
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(engine_->stats().health, Health::kOk) << i;
    Listener each;
    submit(request({1, 2}, 5, each));
    each.wait();
    EXPECT_EQ(each.end().error, "no device");
  }
  EXPECT_TRUE(wait_for(Health::kFailing));
  broken = false;  // without a request: nobody sends any to a server that says so
  EXPECT_TRUE(wait_for(Health::kOk));
  EXPECT_EQ(runner_->order_errors, 0);
}

TEST_P(EngineWatchTest, AStateThatCannotBeMadeAnewShowsUntilItCan) {
  std::atomic<bool> full{true};
  runner_->fail_collect = 1;
  runner_->on_call = [&](const std::string& call) {
    if (full && call == "reset") throw std::bad_alloc();
  };
  Listener each;
  submit(request({1, 2}, 5, each));
  each.wait();
  EXPECT_TRUE(wait_for(Health::kFailing));
  full = false;
  EXPECT_TRUE(wait_for(Health::kOk));
}

TEST(StepClock, ASlowStepMayTakeManyTimesItsOwnTime) {
  const StepKey slow{3, 1, 16}, quick{1, 8, 16};
  StepClock clock(2);
  clock.ran(slow, 0.4);
  clock.ran(slow, 0.2);
  const TimePoint now = std::chrono::steady_clock::now();
  const auto over_after = [&](const StepKey& key, double seconds) {
    clock.begin(key);
    return clock.overrun(now + milliseconds(int64_t(seconds * 1000))).has_value();
  };
  EXPECT_FALSE(over_after(quick, 1.9));
  EXPECT_TRUE(over_after(quick, 2.5));
  EXPECT_FALSE(over_after(slow, 7.9));  // 20 * 0.4
  EXPECT_TRUE(over_after(slow, 8.5));
  clock.forgive(std::chrono::seconds(1));
  EXPECT_FALSE(clock.overrun(now + milliseconds(8500)));
  clock.end();
  EXPECT_FALSE(clock.overrun(now + std::chrono::hours(1)));
  StepClock none(0);
  none.begin(quick);
  EXPECT_FALSE(none.overrun(now + std::chrono::hours(1)));
}

INSTANTIATE_TEST_SUITE_P(Loops, EngineWatchTest, testing::Bool(),
                         [](const auto& each) { return each.param ? "overlapped" : "serial"; });

}  // namespace
}  // namespace continuo::engine
