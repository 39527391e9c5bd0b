// A backend without a model: answers with the prompt's tokens over and over.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/backend.h"

namespace continuo::server {

class FakeBackend : public Backend {
 public:
  ~FakeBackend() override {
    hold(false);
    cancel_all();
    for (std::thread& each : threads_) each.join();
  }

  Result<uint64_t> submit(engine::Request request) override {
    const std::lock_guard lock(mutex_);
    if (full_) return error(ErrorCode::kResourceExhausted, "the queue is full: 7 requests wait");
    const uint64_t id = ++last_id_;
    alive_[id] = false;
    last_ = request;
    changed_.notify_all();
    threads_.emplace_back([this, id, request] { answer(id, request); });
    return id;
  }
  void cancel(uint64_t request) override {
    const std::lock_guard lock(mutex_);
    if (const auto found = alive_.find(request); found != alive_.end()) found->second = true;
    changed_.notify_all();
  }
  bool drain(engine::TimePoint limit) override {
    std::unique_lock lock(mutex_);
    const bool done = changed_.wait_until(lock, limit, [this] { return alive_.empty(); });
    for (auto& [id, cancelled] : alive_) cancelled = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return alive_.empty(); });
    return done;
  }
  engine::EngineStats stats() const override {
    const std::lock_guard lock(mutex_);
    engine::EngineStats stats;
    stats.slots = 3;
    stats.context = 64;
    stats.slot.resize(3);
    stats.running = static_cast<int64_t>(alive_.size());
    stats.health = health_;
    return stats;
  }
  int64_t max_queue() const override { return 7; }

  // While held, an answer stops before its third token.
  void hold(bool on) {
    const std::lock_guard lock(mutex_);
    held_ = on;
    changed_.notify_all();
  }
  void set_health(engine::Health health) { health_ = health; }
  void fill(bool on) { full_ = on; }
  void fail(bool on) { fails_ = on; }
  // Each token's text is so much longer, and comes no sooner: what a client may leave unread.
  void say_much(size_t more, std::chrono::microseconds pause) {
    more_ = std::string(more, 'x');
    pause_ = pause;
  }
  // Waits until `count` more requests have come than this has waited for.
  void wait_until_started(uint64_t count = 1) {
    std::unique_lock lock(mutex_);
    waited_for_ += count;
    changed_.wait(lock, [this] { return last_id_ >= waited_for_; });
  }
  // Waits until nothing is being answered, as after a cancel.
  void wait_until_idle() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return alive_.empty(); });
  }
  int cancelled() const { return cancelled_; }
  engine::Request last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  void cancel_all() {
    const std::lock_guard lock(mutex_);
    for (auto& [id, cancelled] : alive_) cancelled = true;
    changed_.notify_all();
  }

  // False: cancelled.
  bool may_go_on(uint64_t id, int64_t index) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return alive_.at(id) || !held_ || index < 2; });
    return !alive_.at(id);
  }

  void answer(uint64_t id, const engine::Request& request) {
    bool cancelled = false;
    std::vector<engine::Event> ends;
    for (int64_t choice = 0; choice < request.choices; ++choice) {
      engine::Event event;
      event.request = id;
      event.choice = choice;
      for (; event.index < request.max_tokens; ++event.index) {
        cancelled = cancelled || !may_go_on(id, event.index);
        if (cancelled || fails_) break;
        event.token = request.ids[static_cast<size_t>(event.index) % request.ids.size()];
        event.text = fmt::format("<{}>{}", *event.token, more_);
        if (request.top_logprobs >= 0) event.logprobs = {-0.5F, {{*event.token, -0.5F}, {4, -2.F}}};
        request.on_event(event);
        if (pause_.count() > 0) std::this_thread::sleep_for(pause_);
      }
      engine::Event end;
      end.request = id;
      end.choice = choice;
      end.index = end.completion_tokens = event.index;
      end.prompt_tokens = static_cast<int64_t>(request.ids.size());
      end.finish = fails_      ? engine::FinishReason::kError
                   : cancelled ? engine::FinishReason::kCancelled
                               : engine::FinishReason::kLength;
      if (fails_) end.error = "the device is on fire";
      ends.push_back(end);
    }
    cancelled_ += cancelled ? 1 : 0;
    for (const engine::Event& end : ends) request.on_event(end);
    const std::lock_guard lock(mutex_);
    alive_.erase(id);
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, bool> alive_;  // id -> cancelled
  std::vector<std::thread> threads_;
  engine::Request last_;
  uint64_t last_id_ = 0, waited_for_ = 0;
  bool held_ = false;
  std::string more_;
  std::chrono::microseconds pause_{0};
  std::atomic<engine::Health> health_{engine::Health::kOk};
  std::atomic<bool> full_{false}, fails_{false};
  std::atomic<int> cancelled_{0};
};

}  // namespace continuo::server
