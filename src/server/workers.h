// Workers: threads that parse and encode beside the io thread, so that a long prompt stalls no
// stream. Large bodies have a thread of their own: a small one never waits behind them.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <optional>
#include <utility>

#include "server/share.h"

namespace continuo::server {

// Owned by App; io thread only, apart from the tasks.
class Workers {
 public:
  // The task's result; nothing where too many wait already. `bytes`: of the body that it reads.
  template <typename T>
  boost::asio::awaitable<std::optional<T>> run(size_t bytes, boost::asio::awaitable<T> task) {
    Lane& lane = bytes > kLarge ? large_ : small_;
    if (lane.taken >= lane.most) co_return std::nullopt;
    const Share<int64_t> place(lane.taken, 1);
    co_return co_await boost::asio::co_spawn(lane.threads, std::move(task),
                                             boost::asio::use_awaitable);
  }

  // Ends what runs and starts nothing more.
  void stop() {
    for (Lane* lane : {&small_, &large_}) lane->threads.stop();
    for (Lane* lane : {&small_, &large_}) lane->threads.join();
  }

 private:
  static constexpr size_t kLarge = 64 << 10;
  struct Lane {
    Lane(size_t count, int64_t limit) : threads(count), most(limit) {}
    boost::asio::thread_pool threads;
    int64_t taken = 0;  // tasks that wait or run
    const int64_t most;
  };
  Lane small_{2, 4096}, large_{1, 16};
};

}  // namespace continuo::server
