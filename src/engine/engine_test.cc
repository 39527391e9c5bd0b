// The engine's loop over a fake device: order, ends, failures, and its edges from many threads.
#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "engine/engine_fixture_test.h"
#include "engine/engine_impl.h"

namespace continuo::engine {
namespace {

using testing::HasSubstr;

TEST(EngineOptions, PrefillIsAsWideAsTheDeviceOrTheUserSays) {
  const auto columns = [](EngineOptions options) {
    options.context = 4096;
    return scheduling_of(options, {.columns = 1024})->columns;
  };
  EXPECT_THAT(columns({}), testing::ElementsAre(16, 64, 256, 1024));
  EXPECT_THAT(columns({.prefill_columns = 100}), testing::ElementsAre(16, 64, 100));
  EXPECT_THAT(columns({.prefill_budget = 20}), testing::ElementsAre(16, 20));
  EXPECT_THAT(columns({.prefill_columns = 9999999}), testing::ElementsAre(16, 64, 256, 1024, 4096));
}

TEST_P(EngineTest, ARequestGivesItsTokensAndOneEnd) {
  Listener listener;
  submit(request({1, 2, 3}, 9, listener));
  listener.wait();
  const auto wanted = fake_answer({1, 2, 3}, 9, kContext);
  EXPECT_EQ(listener.tokens(), wanted);
  EXPECT_EQ(listener.end().prompt_tokens, 3);
  EXPECT_EQ(listener.end().completion_tokens, int64_t(wanted.size()));
  EXPECT_EQ(listener.end().finish,
            wanted.back() == kFakeEos ? FinishReason::kStop : FinishReason::kLength);
}

TEST_P(EngineTest, TheNextStepIsLaunchedBeforeTheLastOnesTokensAreRead) {
  Listener listener;
  submit(request(long_prompt(12), 12, listener));
  listener.wait();
  const auto events = runner_->events();
  const auto at = [&](const std::string& event) {
    return std::find(events.begin(), events.end(), event) - events.begin();
  };
  for (int step = 0; step + 1 < 12; ++step) {
    const auto launch = at("launch " + std::to_string(step + 1));
    const auto collect = at("collect " + std::to_string(step));
    EXPECT_EQ(launch < collect, GetParam()) << step;
  }
}

// Changes no choice of the fake model.
SamplingParams on_the_host() {
  SamplingParams params;
  params.dry_multiplier = 1e-3;
  return params;
}

TEST_P(EngineTest, HostChosenTokensAreTheSame) {
  Listener plain, repeated;
  submit(request(long_prompt(12), 12, plain));
  plain.wait();
  EXPECT_EQ(runner_->host_rows, 0);
  Request host = request(long_prompt(12), 12, repeated);
  host.sampling = on_the_host();
  submit(host);
  repeated.wait();
  EXPECT_EQ(plain.tokens(), repeated.tokens());
  EXPECT_EQ(runner_->host_rows, 12);
}

// A row that the host chooses for is in every other step; the other is in each of them, launched
// before the tokens of the one before are read.
TEST_P(EngineTest, OtherRowsGoOnWhileOneIsChosenOnTheHost) {
  Listener host, other;
  Request slow = request(long_prompt(40), 12, host);
  slow.sampling = on_the_host();
  slow.ignore_eos = true;
  Request quick = request(long_prompt(40), 40, other);
  hang_in("launch");  // until the loop has both
  submit(slow);
  gate_->wait_held();
  submit(quick);
  open();
  host.wait();
  other.wait();
  EXPECT_EQ(other.tokens(), fake_answer(long_prompt(40), 40, kContext));
  EXPECT_EQ(runner_->order_errors, 0);
  if (!GetParam()) return;
  const auto events = runner_->events();
  const auto at = [&](const std::string& event) {
    return std::find(events.begin(), events.end(), event) - events.begin();
  };
  const auto& steps = runner_->rows_of_launches();
  int both = 0, alone = 0;
  for (size_t i = 1; i + 2 < steps.size() && both < 8; ++i) {
    const bool quick_runs = steps[i].contains(1) && steps[i + 1].contains(1);
    if (!quick_runs) continue;
    EXPECT_LT(at("launch " + std::to_string(i + 1)), at("collect " + std::to_string(i))) << i;
    EXPECT_FALSE(steps[i].contains(0) && steps[i + 1].contains(0)) << i;
    ++(steps[i].contains(0) ? both : alone);
  }
  EXPECT_EQ(both, 8);
  EXPECT_GE(alone, 7);
}

// What Qwen2.5's generation_config asks for, and log probabilities beside it.
TEST_P(EngineTest, PenaltiesAndLogprobsStayOnTheDevice) {
  std::vector<std::unique_ptr<Listener>> listeners;
  for (int i = 0; i < 6; ++i) {
    listeners.push_back(std::make_unique<Listener>());
    Request each = request(long_prompt(12), 12, *listeners.back());
    each.sampling = {.temperature = 0.7, .top_k = 20, .top_p = 0.8, .repetition_penalty = 1.05};
    each.sampling.min_tokens = i;
    each.sampling.logit_bias[5] = 1;
    each.sampling.bad_words = {{9}};
    if (i % 2 == 0) each.top_logprobs = i;
    submit(each);
  }
  for (auto& listener : listeners) {
    listener->wait();
    EXPECT_EQ(listener->tokens(), fake_answer(long_prompt(12), 12, kContext));
  }
  EXPECT_EQ(runner_->host_rows, 0);
  EXPECT_EQ(runner_->lines, 6);
  EXPECT_GE(runner_->chooser_steps, 12);
}

TEST_P(EngineTest, PlainRequestsAskForNothingMore) {
  Listener greedy, sampled;
  submit(request(long_prompt(12), 12, greedy));
  Request warm = request(long_prompt(12), 12, sampled);
  warm.sampling.temperature = 1;
  submit(warm);
  greedy.wait();
  sampled.wait();
  EXPECT_EQ(runner_->chooser_steps, 0);
  EXPECT_EQ(runner_->lines, 0);
  EXPECT_EQ(runner_->host_rows, 0);
}

TEST_P(EngineTest, ManyRequestsGiveWhatEachGivesAlone) {
  std::mt19937 random(7);
  std::vector<std::unique_ptr<Listener>> listeners;
  std::vector<std::vector<int32_t>> wanted;
  for (int i = 0; i < 200; ++i) {
    std::vector<int32_t> ids(1 + random() % 40);
    for (int32_t& id : ids) id = int32_t(random() % kFakeVocab);
    listeners.push_back(std::make_unique<Listener>());
    const int64_t max_tokens = 1 + random() % 30;
    wanted.push_back(fake_answer(ids, max_tokens, kContext));
    Request each = request(ids, max_tokens, *listeners.back());
    if (i % 7 == 0) each.sampling = on_the_host();
    if (i % 7 == 3) each.sampling.repetition_penalty = 1.1;
    if (i % 5 == 0) each.top_logprobs = 2;
    submit(each);
    if (random() % 4 == 0) std::this_thread::yield();
  }
  for (size_t i = 0; i < listeners.size(); ++i) {
    listeners[i]->wait();
    EXPECT_EQ(listeners[i]->tokens(), wanted[i]) << i;
    EXPECT_EQ(listeners[i]->out_of_order, 0);
  }
  EXPECT_EQ(runner_->order_errors, 0);
}

TEST_P(EngineTest, ChoicesShareAPrompt) {
  Listener listener;
  Request two = request({4, 9, 11, 2, 6}, 6, listener);
  two.choices = 3;
  submit(two);
  listener.wait(3);
  const auto wanted = fake_answer({4, 9, 11, 2, 6}, 6, kContext);
  for (int64_t choice = 0; choice < 3; ++choice) EXPECT_EQ(listener.tokens(choice), wanted);
}

TEST_P(EngineTest, ACancelEndsARequestOnce) {
  Listener listener;
  Request forever = request(long_prompt(44), 44, listener);
  forever.ignore_eos = true;
  const uint64_t id = submit(forever);
  listener.wait_tokens(1);
  engine_->cancel(id);
  engine_->cancel(id);
  engine_->cancel(12345);
  listener.wait();
  EXPECT_THAT(listener.end().finish,
              testing::AnyOf(FinishReason::kCancelled, FinishReason::kLength));
  Listener next;
  submit(request({8}, 2, next));
  next.wait();
}

TEST_P(EngineTest, ADeadlineEndsARequest) {
  Listener listener;
  Request late = request({8}, 4, listener);
  late.deadline = Clock::now() - std::chrono::seconds(1);
  submit(late);
  listener.wait();
  EXPECT_EQ(listener.end().finish, FinishReason::kDeadline);
  EXPECT_EQ(listener.end().completion_tokens, 0);
}

TEST_P(EngineTest, AFailedStepEndsWhatRunsAndTheQueueGoesOn) {
  for (const bool at_launch : {false, true}) {
    make();
    (at_launch ? runner_->fail_launch : runner_->fail_collect) = 3;
    std::vector<std::unique_ptr<Listener>> listeners;
    for (int i = 0; i < 8; ++i) {
      listeners.push_back(std::make_unique<Listener>());
      Request each = request(long_prompt(20), 20, *listeners.back());
      submit(each);
    }
    int failed = 0;
    for (auto& listener : listeners) {
      listener->wait();
      const Event end = listener->end();
      failed += end.finish == FinishReason::kError;
      if (end.finish == FinishReason::kError)
        EXPECT_EQ(end.error, at_launch ? "no launch" : "the device is gone");
      else
        EXPECT_EQ(listener->tokens(), fake_answer(long_prompt(20), 20, kContext));
    }
    EXPECT_GE(failed, 1);
    EXPECT_LE(failed, kSlots);
    EXPECT_EQ(runner_->resets, 1);
    EXPECT_EQ(engine_->stats().failed_steps, 1);
  }
}

TEST_P(EngineTest, ARowThatIsNotFiniteEndsItsRequestAlone) {
  constexpr int32_t kBad = 96;
  runner_->spoils = kBad;
  std::vector<int32_t> bad = long_prompt(30);
  bad.resize(20, 7);
  bad[1] = kBad;  // in the first of several chunks
  Listener healthy, spoilt, last, both;
  submit(request(long_prompt(20), 20, healthy));
  submit(request(bad, 9, spoilt));
  submit(request({5, kBad}, 9, last));
  Request several = request({kBad, 5}, 9, both);
  several.choices = 2;
  submit(several);
  for (Listener* each : {&healthy, &spoilt, &last}) each->wait();
  both.wait(2);
  EXPECT_EQ(healthy.tokens(), fake_answer(long_prompt(20), 20, kContext));
  for (Listener* each : {&spoilt, &last, &both}) {
    EXPECT_EQ(each->end().finish, FinishReason::kNotFinite);
    EXPECT_THAT(each->end().error, HasSubstr("not finite"));
    EXPECT_EQ(each->end().completion_tokens, 0);
  }
  EXPECT_EQ(engine_->stats().not_finite, 3);
  EXPECT_EQ(engine_->stats().failed_steps, 0);
  Listener next;
  submit(request(long_prompt(20), 20, next));
  next.wait();
  EXPECT_EQ(next.tokens(), fake_answer(long_prompt(20), 20, kContext));
}

TEST_P(EngineTest, StateThatCannotBeMadeAnewFailsTheQueueToo) {
  runner_->fail_collect = 1;
  runner_->failing_resets = 1;
  Listener first;
  submit(request({1, 2}, 5, first));
  first.wait();
  EXPECT_EQ(first.end().finish, FinishReason::kError);
  Listener second;
  submit(request({1, 2}, 5, second));
  second.wait();
  EXPECT_EQ(second.tokens(), fake_answer({1, 2}, 5, kContext));
}

TEST_P(EngineTest, RefusalsNameTheField) {
  Listener none;
  EXPECT_THAT(refused(request({}, 5, none), ErrorCode::kInvalidArgument), HasSubstr("empty"));
  EXPECT_THAT(refused(request({97}, 5, none), ErrorCode::kInvalidArgument),
              HasSubstr("prompt: wanted token ids below 97, got 97"));
  EXPECT_THAT(refused(request({1}, 0, none), ErrorCode::kInvalidArgument), HasSubstr("max_tokens"));
  EXPECT_THAT(refused(request(std::vector<int32_t>(48, 1), 1, none), ErrorCode::kInvalidArgument),
              HasSubstr("too long"));
  Request many = request({1}, 1, none);
  many.choices = 4;
  EXPECT_THAT(refused(many, ErrorCode::kInvalidArgument), HasSubstr("n: wanted"));
  Request stops = request({1}, 1, none);
  stops.stops = {"x"};
  EXPECT_THAT(refused(stops, ErrorCode::kInvalidArgument), HasSubstr("stop: "));
  Request cold = request({1}, 1, none);
  cold.sampling.temperature = -1;
  EXPECT_THAT(refused(cold, ErrorCode::kInvalidArgument), HasSubstr("temperature"));
  Request few = request({1}, 4, none);
  few.sampling.min_tokens = 5;
  EXPECT_THAT(refused(few, ErrorCode::kInvalidArgument),
              HasSubstr("min_tokens: expected at most max_tokens, 4, got 5"));
  few.sampling.min_tokens = 0;
  few.sampling.bad_words = {{1, 2}, {}};
  EXPECT_THAT(refused(few, ErrorCode::kInvalidArgument), HasSubstr("bad_words"));
  few.sampling.bad_words = {{97}};
  EXPECT_THAT(refused(few, ErrorCode::kInvalidArgument), HasSubstr("bad_words"));
}

TEST_P(EngineTest, AFullQueueRefuses) {
  make({.max_queue = 2});
  std::vector<std::unique_ptr<Listener>> listeners;
  int accepted = 0, full = 0;
  for (int i = 0; i < 400; ++i) {
    listeners.push_back(std::make_unique<Listener>());
    const auto id = engine_->submit(request(long_prompt(30), 30, *listeners.back()));
    if (!id.ok()) {
      EXPECT_EQ(id.error().code, ErrorCode::kResourceExhausted);
      listeners.pop_back();
    }
    (id.ok() ? accepted : full)++;
  }
  EXPECT_GT(full, 0);
  EXPECT_GE(accepted, 5);
  for (auto& listener : listeners) listener->wait();
}

TEST_P(EngineTest, DrainWaitsThenCancels) {
  Listener one;
  submit(request(long_prompt(20), 20, one));
  EXPECT_TRUE(engine_->drain(TimePoint::max()));
  one.wait();
  EXPECT_EQ(one.tokens().size(), 20u);
  EXPECT_EQ(refused(request({1}, 1, one), ErrorCode::kUnavailable),
            "the engine is shutting down and takes no more requests");
  make();
  std::vector<std::unique_ptr<Listener>> many;
  for (int i = 0; i < 300; ++i) {
    many.push_back(std::make_unique<Listener>());
    submit(request(long_prompt(40), 40, *many.back()));
  }
  engine_->drain(Clock::now());
  for (auto& listener : many) listener->wait();
}

TEST_P(EngineTest, GoingAwayEndsEveryRequest) {
  std::vector<std::unique_ptr<Listener>> many;
  for (int i = 0; i < 20; ++i) {
    many.push_back(std::make_unique<Listener>());
    submit(request(long_prompt(40), 40, *many.back()));
  }
  engine_.reset();
  for (auto& listener : many) listener->wait();
}

// For tsan: everything at once, from several threads and from inside a callback.
TEST_P(EngineTest, EdgesAreThreadSafe) {
  std::atomic<int> ends{0}, accepted{0};
  const auto client = [&](uint32_t seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 60; ++i) {
      Request each;
      each.ids.assign(1 + random() % 12, int32_t(random() % kFakeVocab));
      each.max_tokens = 1 + random() % 20;
      each.choices = 1 + random() % 2;
      const bool quits = random() % 4 == 0;
      each.on_event = [&, quits, engine = engine_.get()](const Event& event) {
        if (event.finish) ++ends;
        if (quits && event.index == 1) engine->cancel(event.request);
      };
      const int64_t choices = each.choices;
      const auto id = engine_->submit(std::move(each));
      ASSERT_TRUE(id.ok());
      accepted += int(choices);
      if (random() % 4 == 0) engine_->cancel(*id);
      EXPECT_LE(engine_->stats().running, 2 * kSlots);
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; ++i) threads.emplace_back(client, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(engine_->drain(Clock::now() + std::chrono::seconds(60)));
  EXPECT_EQ(ends, accepted);
  EXPECT_EQ(runner_->order_errors, 0);
  EXPECT_EQ(engine_->stats().running, 0);
  EXPECT_EQ(engine_->stats().waiting, 0);
}

INSTANTIATE_TEST_SUITE_P(Loops, EngineTest, testing::Bool(),
                         [](const auto& each) { return each.param ? "overlapped" : "serial"; });

}  // namespace
}  // namespace continuo::engine
