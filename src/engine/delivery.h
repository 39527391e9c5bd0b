// Delivery: a request, shared and unchanged from submit() to its last event, and the way of its
// events to its listener: in order, one end a choice, whichever thread knows the end first.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/request.h"

namespace continuo::engine {

// Shared by the mailbox, the step thread and the watchdog. Any thread; nothing here throws. The
// listener runs under this object's mutex, so that it must not wait for another event.
class Delivery {
 public:
  Delivery(uint64_t id, std::shared_ptr<const Request> request, TimePoint submitted);

  uint64_t id() const { return id_; }
  const std::shared_ptr<const Request>& request() const { return request_; }
  TimePoint submitted() const { return submitted_; }
  bool open() const { return open_.load() > 0; }  // a choice has not ended

  // Drops what comes after its choice's end. False: the listener threw.
  bool send(const Event& event) noexcept;
  // Ends the choices that are open, with the tokens that were sent.
  void end(FinishReason reason, const std::string& why) noexcept;

 private:
  struct Choice {
    bool ended = false;
    int64_t tokens = 0;  // sent
  };
  bool call(const Event& event) const noexcept;

  const uint64_t id_;
  const std::shared_ptr<const Request> request_;
  const TimePoint submitted_;
  std::mutex mutex_;             // guards what follows
  std::vector<Choice> choices_;  // [request.choices]
  std::atomic<int64_t> open_;
};

}  // namespace continuo::engine
