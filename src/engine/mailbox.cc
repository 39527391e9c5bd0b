#include "engine/mailbox.h"

#include <algorithm>
#include <utility>

namespace continuo::engine {

Result<uint64_t> Mailbox::submit(Request request) {
  const std::lock_guard lock(mutex_);
  if (refusing_ || mail_.closed)
    return error(ErrorCode::kUnavailable, "the engine is shutting down and takes no more requests");
  const int64_t waiting = queued_ + static_cast<int64_t>(mail_.submissions.size());
  if (waiting - free_slots_ >= room_)
    return error(ErrorCode::kResourceExhausted, "the queue is full: {} requests wait", waiting);
  mail_.submissions.push_back({++last_id_, std::move(request), std::chrono::steady_clock::now()});
  came_.notify_one();
  return last_id_;
}

void Mailbox::cancel(uint64_t request) {
  const std::lock_guard lock(mutex_);
  mail_.cancels.push_back(request);
  came_.notify_one();
}

void Mailbox::refuse_more() {
  const std::lock_guard lock(mutex_);
  refusing_ = true;
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  mail_.closed = true;
  came_.notify_one();
}

bool Mailbox::wait_idle(TimePoint limit) {
  std::unique_lock lock(mutex_);
  const auto idle = [&] { return alive_ == 0 && mail_.submissions.empty(); };
  if (limit != TimePoint::max()) return idle_.wait_until(lock, limit, idle);
  idle_.wait(lock, idle);
  return true;
}

Mail Mailbox::take(bool nothing_to_do) {
  std::unique_lock lock(mutex_);
  if (nothing_to_do)
    came_.wait(
        lock, [&] { return mail_.closed || !mail_.submissions.empty() || !mail_.cancels.empty(); });
  const bool closed = mail_.closed;
  Mail taken = std::exchange(mail_, {});
  mail_.closed = closed;
  // Until the next report they count as alive and as waiting.
  alive_ += static_cast<int64_t>(taken.submissions.size());
  queued_ += static_cast<int64_t>(taken.submissions.size());
  return taken;
}

void Mailbox::report(int64_t queued, int64_t free_slots, int64_t alive) {
  const std::lock_guard lock(mutex_);
  queued_ = queued;
  free_slots_ = free_slots;
  alive_ = alive;
  if (alive_ == 0) idle_.notify_all();
}

int64_t Mailbox::waiting() const {
  const std::lock_guard lock(mutex_);
  return queued_ + static_cast<int64_t>(mail_.submissions.size());
}

}  // namespace continuo::engine
