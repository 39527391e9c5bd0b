// The engine's inside: the step thread's loop, and what the engine's other threads share with it.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/guard.h"
#include "engine/answer.h"
#include "engine/delivery.h"
#include "engine/engine.h"
#include "engine/mailbox.h"
#include "engine/scheduler.h"
#include "engine/step_clock.h"
#include "engine/step_runner.h"

namespace continuo::engine {

// How the engine schedules under these options; kInvalidArgument names what does not fit.
Result<SchedulerOptions> scheduling_of(const EngineOptions& options, const StepLimits& limits = {});

// The functions of the loop run on the step thread; all else says which threads may call it.
class Engine::Impl {
 public:
  Impl(EngineParts parts, EngineOptions options, SchedulerOptions scheduling);
  ~Impl();
  // What the runner needs for every step; on the creating thread, before start().
  Status prepare();
  void start();

  // Any thread.
  Status check(const Request& request) const;
  EngineStats stats() const;
  Mailbox mailbox;
  const EngineOptions options;
  const std::vector<int32_t> eos_ids;

  // Of the device side, set before start(): what was compiled (any thread), and figures that do not
  // change.
  std::function<CompileCacheStats()> compiling;
  EngineStats shape;

 private:
  struct Active {
    std::shared_ptr<Delivery> delivery;
    std::optional<TimePoint> started = {}, first_token = {};
    std::vector<Answer> answers = {};
    int64_t ended = 0;         // choices
    std::string failure = {};  // why this request failed alone
    const Request& request() const { return *delivery->request(); }
  };
  struct InFlight {
    StepPlan plan;
    TimePoint launched;
    bool measured = true;  // false: the loop has compiled meanwhile
  };

  // --- the loop (engine_loop.cc) ---
  void loop();
  bool turn();
  bool receive();
  void end_all();
  void admit(const std::shared_ptr<Delivery>& delivery);
  bool launch(const StepPlan& plan, TimePoint now);
  StepInput input_of(const StepPlan& plan) const;
  void add_choices(const StepPlan& plan, StepInput& input) const;
  Status set_lines(const StepPlan& plan);
  bool collect();
  void fail(Error failure);
  void recover(Error failure);
  void fail_one(uint64_t request, Error failure);
  void give_up(uint64_t request, FinishReason reason, const std::string& why);
  Status ready(const StepKey& key);
  void remake();
  void try_again();
  // A call of the device, under the watchdog's eyes.
  template <typename Call>
  auto watched(const StepKey& key, Call&& call) {
    clock_.begin(key);
    auto result = guarded(std::forward<Call>(call));
    clock_.end();
    return result;
  }
  // --- the watchdog (engine_watch.cc) ---
  void watch();
  void hang(const std::string& what);
  // --- what others hear (engine_publish.cc) ---
  void end_not_finite(const StepPlan& plan, const StepResult& result);
  void take_tokens(const StepPlan& plan, const StepResult& result);
  Result<bool> take_token(const StepSample& sample, const StepResult& result, TimePoint now,
                          Event& event);
  void publish(std::vector<Event> events);
  void finish(Event& event, const EndedSequence& ended);
  void send(const Event& event);
  void record(const InFlight& step, TimePoint now);
  void report();
  EngineStats stats_now() const;

  const Answer& answer(SequenceId id) const {
    return active_.at(id.request).answers[static_cast<size_t>(id.choice)];
  }

  const text::Tokenizer* const tokenizer_;
  const int64_t vocab_;
  std::unique_ptr<StepRunner> runner_;
  Scheduler scheduler_;
  std::map<uint64_t, Active> active_;  // waiting and running requests, by id
  std::deque<InFlight> in_flight_;     // launched, not collected
  std::string failure_;                // of the step that failed last
  bool broken_ = false;                // the state could not be made anew
  StepKey last_key_;                   // of the step launched last
  int64_t failed_in_row_ = 0;          // steps
  StepClock clock_;
  std::atomic<bool> failing_{false}, hung_{false};
  TimePoint last_collected_{};
  int64_t steps_ = 0, prefill_steps_ = 0, failed_steps_ = 0;
  int64_t not_finite_ = 0;

  mutable std::mutex stats_mutex_;
  EngineStats stats_;  // guarded by stats_mutex_
  std::thread thread_, watchdog_;
};

}  // namespace continuo::engine
