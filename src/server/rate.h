// Rate: tokens a second over the last few seconds.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace continuo::server {

// Any thread.
class Rate {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void add(int64_t tokens, Time now) {
    const std::lock_guard lock(mutex_);
    const int64_t second = seconds(now);
    Bucket& bucket = buckets_[static_cast<size_t>(second) % kBuckets];
    if (bucket.second != second) bucket = {second, 0};
    bucket.tokens += tokens;
  }
  // Over the last kWindow whole seconds.
  double per_second(Time now) const {
    const std::lock_guard lock(mutex_);
    const int64_t second = seconds(now);
    int64_t sum = 0;
    for (const Bucket& bucket : buckets_)
      if (bucket.second < second && bucket.second >= second - kWindow) sum += bucket.tokens;
    return static_cast<double>(sum) / static_cast<double>(kWindow);
  }

 private:
  static constexpr size_t kBuckets = 8;
  static constexpr int64_t kWindow = 3;
  struct Bucket {
    int64_t second = -1, tokens = 0;
  };
  static int64_t seconds(Time now) {
    return std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  }
  mutable std::mutex mutex_;
  std::array<Bucket, kBuckets> buckets_;
};

}  // namespace continuo::server
