#include "server/workers.h"

#include <gtest/gtest.h>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <list>
#include <set>

namespace continuo::server {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

asio::awaitable<int> wait_for(std::shared_future<void> opened, int result) {
  opened.wait();
  co_return result;
}

class WorkersTest : public ::testing::Test {
 protected:
  void start(size_t bytes, std::shared_future<void> opened, int result) {
    auto run = [this, bytes, opened = std::move(opened), result]() -> asio::awaitable<void> {
      const auto got = co_await workers_.run(bytes, wait_for(opened, result));
      if (got)
        done_.insert(*got);
      else
        ++refused_;
    };
    functions_.push_back(std::move(run));  // outlives its coroutine
    asio::co_spawn(io_, functions_.back()(), asio::detached);
  }
  // Until `count` tasks are done, or for longer than that can take.
  void run_until_done(size_t count) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (done_.size() < count && std::chrono::steady_clock::now() < end) io_.run_one_for(100ms);
  }

  asio::io_context io_;
  std::list<std::function<asio::awaitable<void>()>> functions_;
  std::promise<void> gate_, open_;
  std::set<int> done_;
  int refused_ = 0;
  Workers workers_;
};

TEST_F(WorkersTest, SmallerBodiesDoNotWaitForLargerOnes) {
  const std::shared_future<void> closed = gate_.get_future(), open = open_.get_future();
  open_.set_value();
  for (int i = 0; i < 4; ++i) start(16 << 20, closed, i);
  start(300 << 10, open, 10);  // a long prompt
  start(2 << 10, open, 11);    // a chat
  start(0, open, 12);
  run_until_done(3);
  EXPECT_EQ(done_, (std::set<int>{10, 11, 12}));
  start(1 << 20, closed, 4);  // and its lane is held as well
  start(64 << 10, open, 13);
  run_until_done(4);
  EXPECT_EQ(done_, (std::set<int>{10, 11, 12, 13}));
  gate_.set_value();
  run_until_done(9);
  EXPECT_EQ(done_.size(), 9U);
  EXPECT_EQ(refused_, 0);
  workers_.stop();
}

TEST_F(WorkersTest, TooManyAreRefused) {
  const std::shared_future<void> closed = gate_.get_future();
  for (int i = 0; i < 20; ++i) start(2 << 20, closed, i);
  while (io_.poll() > 0) {
  }
  EXPECT_EQ(refused_, 4);
  gate_.set_value();
  run_until_done(16);
  EXPECT_EQ(done_.size(), 16U);
  workers_.stop();
}

}  // namespace
}  // namespace continuo::server
