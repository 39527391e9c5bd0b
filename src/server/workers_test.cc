#include "server/workers.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <list>
#include <set>
#include <thread>
#include <vector>

namespace continuo::server {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr auto kNever = Workers::Time::max();

class WorkersTest : public ::testing::Test {
 protected:
  using Work = std::function<int(const text::Stop&)>;

  void start(size_t bytes, Work work, Workers::Time deadline = kNever) {
    auto run = [this, bytes, work = std::move(work), deadline]() -> asio::awaitable<void> {
      auto task = workers_.run(bytes, deadline, work);
      const auto got = co_await std::move(task);
      if (got)
        done_.insert(*got);
      else
        ++refused_;
    };
    io_.restart();                         // it may have run out of work
    functions_.push_back(std::move(run));  // outlives its coroutine
    asio::co_spawn(io_, functions_.back()(),
                   asio::bind_cancellation_slot(cancel_.emplace_back().slot(), asio::detached));
  }
  void start(size_t bytes, std::shared_future<void> opened, int result) {
    start(bytes, [opened = std::move(opened), result](const text::Stop&) {
      opened.wait();
      return result;
    });
  }
  // Until `count` tasks are done, or for longer than that can take.
  void run_until_done(size_t count) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (done_.size() < count && std::chrono::steady_clock::now() < end) io_.run_one_for(100ms);
  }

  void run_for(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) io_.run_one_for(10ms);
  }
  void run_until_working(std::promise<void>& working) {
    auto begun = working.get_future();
    while (begun.wait_for(0s) != std::future_status::ready) io_.run_one_for(10ms);
  }

  asio::io_context io_;
  std::list<std::function<asio::awaitable<void>()>> functions_;
  std::promise<void> gate_, open_;
  std::set<int> done_;
  std::list<asio::cancellation_signal> cancel_;  // of each coroutine
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

TEST_F(WorkersTest, SmallerBodiesOfALanePassWhereALargerOneAsks) {
  std::promise<void> working;
  std::vector<int> order;  // of the one thread
  start(9 << 20, [&](const text::Stop& stop) {
    working.set_value();
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (order.size() < 2 && std::chrono::steady_clock::now() < end) EXPECT_FALSE(stop());
    order.push_back(1);
    return 1;
  });
  run_until_working(working);
  const auto note = [&order](int number) {
    return [&order, number](const text::Stop&) {
      order.push_back(number);
      return number;
    };
  };
  start(8 << 20, note(2));  // not smaller by half
  start(3 << 20, note(3));
  start(2 << 20, note(4));
  run_until_done(4);
  EXPECT_EQ(order, (std::vector<int>{3, 4, 1, 2}));
  workers_.stop();
}

TEST_F(WorkersTest, WhatPassesLeavesHalfOfTheTime) {
  using Clock = std::chrono::steady_clock;
  std::promise<void> working;
  Clock::duration own{}, longest{};
  start(9 << 20, [&](const text::Stop& stop) {
    working.set_value();
    for (int turns = 0; turns < 200; ++turns) {
      const auto begun = Clock::now();
      while (Clock::now() < begun + 1ms) {
      }
      own += Clock::now() - begun;
      EXPECT_FALSE(stop());
    }
    return 0;
  });
  run_until_working(working);
  for (int i = 1; i < 15; ++i)
    start(2 << 20, [&, i](const text::Stop&) {
      const auto begun = Clock::now();
      std::this_thread::sleep_for(30ms);
      longest = std::max(longest, Clock::now() - begun);
      return i;
    });
  const auto given_up = Clock::now() + 20s;
  while (!done_.contains(0) && Clock::now() < given_up) io_.run_one_for(100ms);
  const size_t before = done_.size() - 1;
  workers_.stop();
  EXPECT_GE(before, 2U);
  EXPECT_LE(before * 30ms, own + longest + 30ms);
}

TEST_F(WorkersTest, ACancelledTaskEndsOrIsNotBegun) {
  std::promise<void> working;
  bool told = false, begun = false;
  start(9 << 20, [&](const text::Stop& stop) {
    working.set_value();
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!(told = stop()) && std::chrono::steady_clock::now() < end) {
    }
    return 1;
  });
  run_until_working(working);
  start(9 << 20, [&](const text::Stop&) { return begun = true; });
  io_.poll();
  cancel_.back().emit(asio::cancellation_type::all);
  run_for(200ms);
  EXPECT_EQ(refused_, 1);  // at once, though the lane is held
  cancel_.front().emit(asio::cancellation_type::all);
  run_until_done(1);
  EXPECT_TRUE(told && !begun);
  workers_.stop();
}

TEST_F(WorkersTest, ADeadlineOrTheEndStopsATask) {
  int told = 0;
  std::promise<void> working;
  const auto until_told = [&](const text::Stop& stop) {
    if (told == 1) working.set_value();
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!stop() && std::chrono::steady_clock::now() < end) {
    }
    return ++told;
  };
  start(9 << 20, until_told, std::chrono::steady_clock::now() + 50ms);
  run_until_done(1);
  EXPECT_EQ(told, 1);
  start(9 << 20, until_told);
  run_until_working(working);
  workers_.stop();
  EXPECT_EQ(told, 2);
}

}  // namespace
}  // namespace continuo::server
