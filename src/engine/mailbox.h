// Mailbox: how other threads reach the step thread: requests and cancels go in, and who waits for
// the engine to fall idle is told.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "engine/request.h"

namespace continuo::engine {

struct Mail {
  struct Submission {
    uint64_t id = 0;
    Request request;
    TimePoint at;
  };
  std::vector<Submission> submissions;
  std::vector<uint64_t> cancels;
  bool closed = false;  // end everything and go
};

// Any thread, unless said otherwise.
class Mailbox {
 public:
  // `room`: requests that may be here or in the scheduler's queue besides those that free slots
  // could take at once.
  explicit Mailbox(int64_t room) : room_(room) {}

  // The id. kResourceExhausted: no room; kUnavailable: no more requests are taken.
  Result<uint64_t> submit(Request request);
  void cancel(uint64_t request);
  void refuse_more();
  void close();
  // Until every request taken has ended, or until `limit`; returns whether they have.
  bool wait_idle(TimePoint limit);

  // Step thread: what has come since; waits for something while `nothing_to_do`.
  Mail take(bool nothing_to_do);
  // Step thread, after each turn: requests in the scheduler's queue, free slots, requests alive.
  void report(int64_t queued, int64_t free_slots, int64_t alive);
  int64_t waiting() const;

 private:
  const int64_t room_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable came_, idle_;
  Mail mail_;
  uint64_t last_id_ = 0;
  int64_t queued_ = 0, free_slots_ = 0, alive_ = 0;
  bool refusing_ = false;
};

}  // namespace continuo::engine
