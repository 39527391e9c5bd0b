#include "engine/step_clock.h"

#include <algorithm>

#include "base/guard.h"

namespace continuo::engine {

void StepClock::begin(const StepKey& key) noexcept {
  const auto known = slowest_.find(key);
  const double slowest = known == slowest_.end() ? 0 : known->second;
  const std::lock_guard lock(mutex_);
  busy_ = true;
  key_ = key;
  began_ = std::chrono::steady_clock::now();
  limit_s_ = std::max(timeout_s_, kTimesSlowest * slowest);
}

void StepClock::end() noexcept {
  const std::lock_guard lock(mutex_);
  busy_ = false;
}

void StepClock::ran(const StepKey& key, double seconds) noexcept {
  // Without memory for it the key goes unmeasured.
  static_cast<void>(guarded([&]() -> Status {
    double& slowest = slowest_[key];
    slowest = std::max(slowest, seconds);
    return ok_status();
  }));
}

std::optional<StepClock::Overrun> StepClock::overrun(TimePoint now) const {
  const std::lock_guard lock(mutex_);
  if (!busy_ || timeout_s_ <= 0) return std::nullopt;
  if (std::chrono::duration<double>(now - began_).count() <= limit_s_) return std::nullopt;
  return Overrun{key_, limit_s_};
}

void StepClock::forgive(TimePoint::duration pause) {
  const std::lock_guard lock(mutex_);
  began_ += pause;
}

}  // namespace continuo::engine
