#include "server/event_queue.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <new>
#include <utility>

#include "base/guard.h"

namespace continuo::server {

namespace asio = boost::asio;

void EventQueue::push(size_t prompt, const engine::Event& event) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const Status kept = guarded([&]() -> Status {
      events_.push_back({prompt, event, std::chrono::steady_clock::now()});
      return ok_status();
    });
    lost_ = lost_ || !kept.ok();
    wake = std::exchange(waiting_, false);
  }
  if (!wake) return;
  // Posted, so that it comes after next() has begun to wait: both are the io thread's.
  Status posted = guarded([&]() -> Status {
    asio::post(io_, [self = shared_from_this()] {
      if (self->timer_ != nullptr) self->timer_->cancel();
    });
    return ok_status();
  });
  const std::lock_guard lock(mutex_);
  waiting_ = waiting_ || !posted.ok();  // the next event tries again
}

asio::awaitable<std::vector<QueuedEvent>> EventQueue::next() {
  struct Waiting {  // also where the coroutine is destroyed while it waits
    EventQueue& queue;
    asio::steady_timer timer;
    explicit Waiting(EventQueue& of)
        : queue(of), timer(of.io_, asio::steady_timer::time_point::max()) {
      queue.timer_ = &timer;
    }
    ~Waiting() { queue.timer_ = nullptr; }
  };
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (lost_) throw std::bad_alloc();
      if (!events_.empty()) co_return std::exchange(events_, {});
      waiting_ = true;
    }
    Waiting here(*this);
    co_await here.timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
}

}  // namespace continuo::server
