#include "server/worker_lane.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <limits>
#include <utility>

namespace continuo::server {

void WorkerLane::add(std::shared_ptr<WorkerTask> task) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(task));
  }
  boost::asio::post(threads_, [this] {
    if (const auto next = take(std::numeric_limits<size_t>::max())) work(*next);
  });
}

void WorkerLane::cancel(const std::shared_ptr<WorkerTask>& task) {
  task->cancel();
  {
    const std::lock_guard lock(mutex_);
    if (std::erase(waiting_, task) == 0) return;
  }
  task->give_up();
}

void WorkerLane::stop() {
  stopping_ = true;
  threads_.stop();
  threads_.join();
}

std::shared_ptr<WorkerTask> WorkerLane::take(size_t most_bytes) {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::ranges::find_if(waiting_, [&](const auto& task) { return task->bytes_ <= most_bytes; });
  if (found == waiting_.end() || stopping_) return nullptr;
  auto task = std::move(*found);
  waiting_.erase(found);
  return task;
}

void WorkerLane::work(WorkerTask& task) {
  task.work([&] { return pause(task); });
}

// One of at most half the size passes, so that few are under way at once on a thread; it then
// waits for as long as that took, so that this one goes on whatever comes.
bool WorkerLane::pause(WorkerTask& task) {
  const auto begun = std::chrono::steady_clock::now();
  if (stopping_ || task.cancelled_ || begun >= task.deadline_) return true;
  if (begun < task.next_turn_) return false;
  const auto smaller = take(task.bytes_ / 2);
  if (!smaller) return false;
  work(*smaller);
  const auto ended = std::chrono::steady_clock::now();
  task.next_turn_ = ended + (ended - begun);
  return stopping_ || task.cancelled_ || ended >= task.deadline_;
}

}  // namespace continuo::server
