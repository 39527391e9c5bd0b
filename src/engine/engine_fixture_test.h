// For the engine's tests: an engine over a fake device, overlapped and serial, and who listens.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_fake_runner_test.h"

namespace continuo::engine {

constexpr int64_t kSlots = 3, kContext = 48;
using Clock = std::chrono::steady_clock;

// Collects a request's events from any number of choices and waits for their ends.
class Listener {
 public:
  std::function<void(const Event&)> callback() {
    return [this](const Event& event) {
      const std::lock_guard lock(mutex_);
      if (event.token) {
        if (event.index != int64_t(tokens_[event.choice].size())) ++out_of_order;
        tokens_[event.choice].push_back(*event.token);
      }
      if (event.finish) ends_[event.choice].push_back(event);
      came_.notify_all();
    };
  }
  // Waits for the ends of `choices`.
  void wait(size_t choices = 1) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        came_.wait_for(lock, std::chrono::seconds(60), [&] { return ends_.size() == choices; }));
  }
  void wait_tokens(size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(came_.wait_for(lock, std::chrono::seconds(60),
                               [&] { return tokens_[0].size() >= count || !ends_.empty(); }));
  }
  std::vector<int32_t> tokens(int64_t choice = 0) {
    const std::lock_guard lock(mutex_);
    return tokens_[choice];
  }
  Event end(int64_t choice = 0) {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(ends_[choice].size(), 1u);
    return ends_[choice].empty() ? Event{} : ends_[choice].back();
  }
  std::atomic<int> out_of_order{0};

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::map<int64_t, std::vector<int32_t>> tokens_;
  std::map<int64_t, std::vector<Event>> ends_;
};

// Holds the step thread in a call of the device for as long as it is closed.
class Gate {
 public:
  explicit Gate(std::string call) : call_(std::move(call)) {}
  void pass(const std::string& call) {
    std::unique_lock lock(mutex_);
    if (call != call_ || !closed_) return;
    held_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !closed_; });
  }
  void wait_held() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return held_; }));
  }
  void close(bool on) {
    const std::lock_guard lock(mutex_);
    closed_ = on;
    changed_.notify_all();
  }

 private:
  const std::string call_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = true, held_ = false;
};

class EngineTest : public testing::TestWithParam<bool> {
 protected:
  ~EngineTest() override { open(); }
  void make(EngineOptions options = {}) {
    options.slots = kSlots;
    options.context = kContext;
    options.columns = {4, 8};
    options.attended = {16, kContext};
    options.overlap = GetParam();
    auto runner = std::make_unique<FakeRunner>(kSlots);
    runner_ = runner.get();
    auto made =
        Engine::create(EngineParts{std::move(runner), nullptr, {kFakeEos}, kFakeVocab}, options);
    ASSERT_TRUE(made.ok()) << made.error().message;
    engine_ = std::move(made).value();
  }
  void SetUp() override { make(); }

  static Request request(std::vector<int32_t> ids, int64_t max_tokens, Listener& listener) {
    Request request;
    request.ids = std::move(ids);
    request.max_tokens = max_tokens;
    request.on_event = listener.callback();
    return request;
  }
  uint64_t submit(Request request) {
    const auto id = engine_->submit(std::move(request));
    EXPECT_TRUE(id.ok()) << id.error().message;
    return id.ok() ? *id : 0;
  }
  std::string refused(Request request, ErrorCode code) {
    const auto id = engine_->submit(std::move(request));
    if (id.ok()) return "accepted";
    EXPECT_EQ(id.error().code, code);
    return id.error().message;
  }
  // A prompt whose answer has at least `tokens` tokens.
  static std::vector<int32_t> long_prompt(int64_t tokens) {
    for (int32_t first = 0; first < kFakeVocab; ++first)
      if (int64_t(fake_answer({first, 5}, tokens, kContext).size()) == tokens) return {first, 5};
    return {};
  }

  // Every call of that name hangs from now on.
  void hang_in(const std::string& call) {
    gate_ = std::make_shared<Gate>(call);
    runner_->on_call = [gate = gate_](const std::string& name) { gate->pass(name); };
  }
  void open() {
    if (gate_) gate_->close(false);
  }

  std::shared_ptr<Gate> gate_;
  FakeRunner* runner_ = nullptr;
  std::unique_ptr<Engine> engine_;
};

}  // namespace continuo::engine
