// Workers: threads that parse and encode beside the io thread, so that a long prompt stalls no
// stream. A text is encoded in one go, which takes time in proportion to its length; so bodies wait
// only for those of about their own size, and the system shares the processor among the lanes.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <limits>
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
    Lane& lane = lane_for(bytes);
    if (lane.taken >= lane.most) co_return std::nullopt;
    const Share<int64_t> place(lane.taken, 1);
    co_return co_await boost::asio::co_spawn(lane.threads, std::move(task),
                                             boost::asio::use_awaitable);
  }

  // Ends what runs and starts nothing more.
  void stop() {
    for (Lane& lane : lanes_) lane.threads.stop();
    for (Lane& lane : lanes_) lane.threads.join();
  }

 private:
  struct Lane {
    Lane(size_t bytes, size_t count, int64_t limit) : longest(bytes), threads(count), most(limit) {}
    const size_t longest;  // body, in bytes
    boost::asio::thread_pool threads;
    int64_t taken = 0;  // tasks that wait or run
    const int64_t most;
  };

  Lane& lane_for(size_t bytes) {
    for (Lane& lane : lanes_)
      if (bytes <= lane.longest) return lane;
    return lanes_.back();
  }

  // A MiB of text is encoded in about a second.
  std::array<Lane, 3> lanes_{
      {{64 << 10, 2, 4096}, {1 << 20, 1, 64}, {std::numeric_limits<size_t>::max(), 1, 16}}};
};

}  // namespace continuo::server
