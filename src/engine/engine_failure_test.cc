// What the engine's loop makes of exceptions: the request they can be blamed on ends, or the step
// has failed; the process and the other requests go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "engine/engine_fixture_test.h"

namespace continuo::engine {
namespace {

class EngineFailureTest : public EngineTest {
 protected:
  // The `nth` call of that name throws.
  void throw_at(const std::string& name, int nth) {
    runner_->on_call = [name, left = nth](const std::string& call) mutable {
      if (call == name && --left == 0) throw std::bad_alloc();
    };
  }
  // A request that comes now is answered as ever.
  void expect_well() {
    Listener after;
    submit(request({1, 2, 3}, 9, after));
    after.wait();
    EXPECT_EQ(after.tokens(), fake_answer({1, 2, 3}, 9, kContext));
    EXPECT_EQ(runner_->order_errors, 0);
  }
};

TEST_P(EngineFailureTest, NoMemoryInACallOfTheDeviceIsAFailedStep) {
  for (const char* call : {"fork", "launch", "collect"}) {
    make();
    throw_at(call, 1);
    Listener listener;
    Request two = request(long_prompt(20), 20, listener);
    two.choices = 2;
    submit(two);
    listener.wait(2);
    for (const int64_t choice : {0, 1}) {
      EXPECT_EQ(listener.end(choice).finish, FinishReason::kError) << call;
      EXPECT_EQ(listener.end(choice).error, "out of memory") << call;
    }
    expect_well();
    EXPECT_EQ(engine_->stats().failed_steps, 1) << call;
  }
}

TEST_P(EngineFailureTest, NoMemoryForTheStateFailsTheQueueToo) {
  runner_->fail_collect = 1;
  throw_at("reset", 1);
  Listener first;
  submit(request({1, 2}, 5, first));
  first.wait();
  EXPECT_EQ(first.end().finish, FinishReason::kError);
  expect_well();
}

// Two requests run; one's listener throws at its third token. The other one does not notice.
TEST_P(EngineFailureTest, AListenerThatThrowsEndsItsRequestAlone) {
  Listener bad, good;
  Request each = request(long_prompt(20), 20, bad);
  each.on_event = [&, heard = bad.callback()](const Event& event) {
    heard(event);
    if (event.index == 2 && !event.finish) throw std::runtime_error("no ears");
  };
  submit(each);
  submit(request(long_prompt(20), 20, good));
  bad.wait();
  good.wait();
  EXPECT_EQ(bad.end().finish, FinishReason::kError);
  EXPECT_EQ(bad.end().error, "its listener failed");
  EXPECT_EQ(good.tokens(), fake_answer(long_prompt(20), 20, kContext));
  EXPECT_EQ(engine_->stats().failed_steps, 0);
  expect_well();
}

TEST_P(EngineFailureTest, AListenerThatThrowsAtTheEndIsLeftAlone) {
  Request each;
  each.ids = {1, 2, 3};
  each.max_tokens = 4;
  each.on_event = [](const Event& event) {
    if (event.finish) throw 7;
  };
  submit(each);
  expect_well();
  EXPECT_TRUE(engine_->drain(TimePoint::max()));
}

// Copies throw; the engine makes none, for any number of choices.
struct Uncopyable {
  Uncopyable() = default;
  Uncopyable(const Uncopyable& other) : armed(other.armed) {
    if (*armed) throw std::bad_alloc();
  }
  std::shared_ptr<bool> armed = std::make_shared<bool>(false);
};

TEST_P(EngineFailureTest, ARequestIsNeverCopied) {
  Listener listener;
  Request three = request({4, 9, 11}, 6, listener);
  Uncopyable trap;
  const auto armed = trap.armed;
  const auto heard = std::make_shared<std::function<void(const Event&)>>(listener.callback());
  three.on_event = [heard, trap](const Event& event) { (*heard)(event); };
  three.choices = 3;
  *armed = true;
  EXPECT_THROW(Request(three).max_tokens, std::bad_alloc) << "the trap works";
  ASSERT_TRUE(engine_->submit(std::move(three)).ok());
  listener.wait(3);
  for (int64_t choice = 0; choice < 3; ++choice)
    EXPECT_EQ(listener.tokens(choice), fake_answer({4, 9, 11}, 6, kContext));
}

TEST_P(EngineFailureTest, FiguresThatCannotBeTakenStopNothing) {
  make({.on_step = [](const EngineOptions::StepRecord&) { throw std::bad_alloc(); }});
  expect_well();
  EXPECT_EQ(engine_->stats().failed_steps, 0);
}

INSTANTIATE_TEST_SUITE_P(Loops, EngineFailureTest, testing::Bool(),
                         [](const auto& each) { return each.param ? "overlapped" : "serial"; });

}  // namespace
}  // namespace continuo::engine
