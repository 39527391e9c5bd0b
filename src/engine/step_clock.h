// StepClock: how long the step thread has waited for the device, and how long it may.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "engine/request.h"
#include "engine/stepper.h"

namespace continuo::engine {

class StepClock {
 public:
  // A step may take `timeout_s` (0: any time), and never less than this many times the slowest run
  // of its key so far: a machine that is slow is not a machine that hangs.
  static constexpr double kTimesSlowest = 20;
  explicit StepClock(double timeout_s) : timeout_s_(timeout_s) {}

  // Step thread: a call of the device begins, and has ended.
  void begin(const StepKey& key) noexcept;
  void end() noexcept;
  // Step thread: a step of `key` took so long.
  void ran(const StepKey& key, double seconds) noexcept;

  struct Overrun {
    StepKey key;
    double limit_s = 0;
  };
  // Any thread: the call under way, if it takes too long.
  std::optional<Overrun> overrun(TimePoint now) const;
  // Any thread: the whole process stood still for so long.
  void forgive(TimePoint::duration pause);

 private:
  const double timeout_s_;
  std::map<StepKey, double> slowest_;  // seconds; step thread
  mutable std::mutex mutex_;           // guards what follows
  bool busy_ = false;
  StepKey key_;
  TimePoint began_;
  double limit_s_ = 0;
};

}  // namespace continuo::engine
