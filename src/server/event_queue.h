// EventQueue: carries events of the engine's step thread to the coroutine that answers a client.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/request.h"

namespace continuo::server {

struct QueuedEvent {
  size_t prompt = 0;  // which of the request's prompts it answers
  engine::Event event;
  std::chrono::steady_clock::time_point time;  // when the engine said it
};

// Shared by the coroutine and the engine's callbacks, whichever lives longer; it may also outlive
// the io context, for as long as nothing is pushed then.
class EventQueue : public std::enable_shared_from_this<EventQueue> {
 public:
  explicit EventQueue(boost::asio::any_io_executor io) : io_(std::move(io)) {}

  // Any thread. Without memory for the event the answer cannot be whole: next() throws then.
  void push(size_t prompt, const engine::Event& event);
  // All that have come, at least one; io thread, one caller at a time. Throws std::bad_alloc.
  boost::asio::awaitable<std::vector<QueuedEvent>> next();

 private:
  boost::asio::any_io_executor io_;
  boost::asio::steady_timer* timer_ = nullptr;  // what next() waits on, never due; io thread
  std::mutex mutex_;                            // guards what follows
  std::vector<QueuedEvent> events_;
  bool waiting_ = false;
  bool lost_ = false;  // an event
};

}  // namespace continuo::server
