// WorkerLane: threads that work on bodies of about one size. The oldest waiting task is next; a
// task that takes long lets smaller ones pass, on its own thread, whenever it asks whether to go
// on.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "text/tokenizer.h"

namespace continuo::server {

// A task that waits for a worker, or is at work. Shared by who awaits it and its lane.
class WorkerTask {
 public:
  using Time = std::chrono::steady_clock::time_point;

  WorkerTask(size_t bytes, Time deadline) : bytes_(bytes), deadline_(deadline) {}
  virtual ~WorkerTask() = default;
  WorkerTask(const WorkerTask&) = delete;
  WorkerTask& operator=(const WorkerTask&) = delete;

  virtual void work(const text::Stop& stop) = 0;  // on a worker; gives the result to who awaits it
  virtual void give_up() = 0;                     // the same, without having worked
  void cancel() { cancelled_ = true; }            // any thread

 private:
  friend class WorkerLane;
  const size_t bytes_;  // of the body that it reads
  const Time deadline_;
  std::atomic<bool> cancelled_ = false;
  Time next_turn_;  // of others; the thread that works on it
};

// Owned by Workers; any thread, except for what is said to be the io thread's.
class WorkerLane {
 public:
  WorkerLane(size_t bytes, size_t threads, int64_t limit)
      : longest(bytes), most(limit), threads_(threads) {}

  void add(std::shared_ptr<WorkerTask> task);
  // Before its work has begun it is given up, afterwards it ends when it next asks.
  void cancel(const std::shared_ptr<WorkerTask>& task);
  // Ends what runs and starts nothing more.
  void stop();

  const size_t longest;  // body, in bytes
  const int64_t most;
  int64_t taken = 0;  // tasks that wait or run; io thread

 private:
  void work(WorkerTask& task);
  bool pause(WorkerTask& task);
  std::shared_ptr<WorkerTask> take(size_t most_bytes);

  std::mutex mutex_;
  std::list<std::shared_ptr<WorkerTask>> waiting_;  // under mutex_; the oldest first
  std::atomic<bool> stopping_ = false;
  boost::asio::thread_pool threads_;
};

}  // namespace continuo::server
