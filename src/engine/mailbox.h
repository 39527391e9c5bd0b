// Mailbox: how other threads reach the step thread: requests and cancels go in, and who waits for
// the engine to fall idle is told. It also knows every request that has not left the engine, so
// that the watchdog can answer where the step thread does not.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/delivery.h"
#include "engine/request.h"

namespace continuo::engine {

struct Mail {
  std::vector<std::shared_ptr<Delivery>> submissions;
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
  Result<uint64_t> submit(std::shared_ptr<const Request> request);
  void cancel(uint64_t request) noexcept;
  void refuse_more(const char* why);
  void close();
  // Until every request taken has left the engine, or until `limit`; returns whether they have.
  bool wait_idle(TimePoint limit);
  // Until every request taken has had its ends, or until `limit`; returns whether they have.
  bool wait_answered(TimePoint limit);
  // Until the step thread has gone, or until `limit`; returns whether it has.
  bool wait_left(TimePoint limit);

  // Step thread: what has come since; while `nothing_to_do` waits for something, or until `limit`.
  Mail take(bool nothing_to_do, TimePoint limit = TimePoint::max());
  // Step thread: the request has ended, nothing of it is left.
  void done(uint64_t request) noexcept;
  // Step thread, after each turn: requests in the scheduler's queue, free slots, requests alive.
  void report(int64_t queued, int64_t free_slots, int64_t alive);
  // Step thread: it touches nothing from here on.
  void leave();
  int64_t waiting() const;

  // Watchdog: waits a tick, a longer one where nothing is alive; false after stop_watch().
  bool wait_tick(TimePoint::duration tick, TimePoint::duration idle_tick);
  void stop_watch();
  struct Due {
    std::shared_ptr<Delivery> delivery;
    FinishReason reason;
  };
  // What was cancelled, or whose deadline was, before `since`, and has not been answered.
  std::vector<Due> due(TimePoint since) const;
  std::vector<std::shared_ptr<Delivery>> open() const;

 private:
  struct Ticket {
    std::shared_ptr<Delivery> delivery;
    TimePoint cancelled = TimePoint::max();
    bool told = false;  // the step thread knows of the cancel
  };
  bool idle() const { return alive_ == 0 && mail_.submissions.empty(); }
  bool answered() const;

  const int64_t room_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable came_, idle_, tick_;
  Mail mail_;
  std::map<uint64_t, Ticket> tickets_;  // taken and not done
  bool cancels_ = false;                // a ticket's cancel has not been told
  uint64_t last_id_ = 0;
  int64_t queued_ = 0, free_slots_ = 0, alive_ = 0;
  const char* refusing_ = nullptr;  // why
  TimePoint closed_ = TimePoint::max();
  bool left_ = false, unwatched_ = false;
};

}  // namespace continuo::engine
