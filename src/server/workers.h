// Workers: threads that parse and encode beside the io thread, so that a long prompt stalls no
// stream. Bodies wait only for those of about their own size, and the system shares the processor
// among the lanes.
#pragma once

#include <array>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "server/share.h"
#include "server/worker_lane.h"

namespace continuo::server {

// The task of one coroutine, which goes on with the result where it came from.
template <typename T, typename Work, typename Handler>
class AwaitedTask final : public WorkerTask,
                          public std::enable_shared_from_this<AwaitedTask<T, Work, Handler>> {
 public:
  AwaitedTask(size_t bytes, Time deadline, Work work, Handler handler)
      : WorkerTask(bytes, deadline),
        work_(std::move(work)),
        handler_(std::move(handler)),
        executor_(boost::asio::prefer(boost::asio::get_associated_executor(*handler_),
                                      boost::asio::execution::outstanding_work.tracked)) {}

  void work(const text::Stop& stop) override {
    try {
      result_.emplace((*work_)(stop));
    } catch (...) {
      thrown_ = std::current_exception();
    }
    work_.reset();  // the body that it holds
    finish();
  }

  void give_up() override { finish(); }

 private:
  // Goes on where the handler belongs, and with nothing where there is no result.
  void finish() {
    boost::asio::post(executor_, [self = this->shared_from_this()] {
      boost::asio::get_associated_cancellation_slot(*self->handler_).clear();
      Handler handler = std::move(*self->handler_);
      self->handler_.reset();
      std::move(handler)(self->thrown_, std::move(self->result_));
    });
  }

  using Executor = std::decay_t<decltype(boost::asio::prefer(
      boost::asio::get_associated_executor(std::declval<Handler&>()),
      boost::asio::execution::outstanding_work.tracked))>;

  std::optional<Work> work_;
  std::optional<Handler> handler_;
  Executor executor_;
  std::optional<T> result_;
  std::exception_ptr thrown_;
};

// Owned by App; io thread only, apart from the tasks.
class Workers {
 public:
  using Time = WorkerTask::Time;

  // What `work(stop)` gives; nothing where too many wait already. `bytes`: of the body that it
  // reads. `stop` says true once `deadline` has passed, the await is cancelled or the workers stop.
  template <typename Work, typename T = std::invoke_result_t<Work&, const text::Stop&>>
  boost::asio::awaitable<std::optional<T>> run(size_t bytes, Time deadline, Work work) {
    WorkerLane& lane = lane_for(bytes);
    if (lane.taken >= lane.most) co_return std::nullopt;
    const Share<int64_t> place(lane.taken, 1);
    auto begin = [&lane, bytes, deadline, work = std::move(work)](auto handler) mutable {
      using Task = AwaitedTask<T, Work, decltype(handler)>;
      auto slot = boost::asio::get_associated_cancellation_slot(handler);
      auto task = std::make_shared<Task>(bytes, deadline, std::move(work), std::move(handler));
      if (slot.is_connected()) {
        auto cancel = [&lane, weak = std::weak_ptr<Task>(task)](boost::asio::cancellation_type) {
          if (const auto held = weak.lock()) lane.cancel(held);
        };
        slot.assign(std::move(cancel));
      }
      lane.add(std::move(task));
    };
    co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>,
                                                   void(std::exception_ptr, std::optional<T>)>(
        std::move(begin), boost::asio::use_awaitable);
  }

  // Ends what runs and starts nothing more.
  void stop() {
    for (WorkerLane& lane : lanes_) lane.stop();
  }

 private:
  WorkerLane& lane_for(size_t bytes) {
    for (WorkerLane& lane : lanes_)
      if (bytes <= lane.longest) return lane;
    return lanes_.back();
  }

  // A MiB of text is encoded in about a second.
  std::array<WorkerLane, 3> lanes_{
      {{64 << 10, 2, 4096}, {1 << 20, 1, 64}, {std::numeric_limits<size_t>::max(), 1, 16}}};
};

}  // namespace continuo::server
