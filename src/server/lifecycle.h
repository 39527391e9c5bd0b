// Where the server is in its life; what /health says.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

namespace continuo::server {

enum class Phase { kLoading, kReady, kDraining };

// Any thread.
class Lifecycle {
 public:
  struct Progress {
    std::string stage = "open";  // then "weights", "compile"
    int64_t done = 0, total = 0;
  };
  void progress(const std::string& stage, int64_t done, int64_t total) {
    const std::lock_guard lock(mutex_);
    progress_ = {stage, done, total};
  }
  void enter(Phase phase) {
    const std::lock_guard lock(mutex_);
    phase_ = phase;
  }
  Phase phase() const {
    const std::lock_guard lock(mutex_);
    return phase_;
  }
  Progress progress() const {
    const std::lock_guard lock(mutex_);
    return progress_;
  }

 private:
  mutable std::mutex mutex_;
  Phase phase_ = Phase::kLoading;
  Progress progress_;
};

}  // namespace continuo::server
