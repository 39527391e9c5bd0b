#include "engine/mailbox.h"

#include <algorithm>
#include <utility>

namespace continuo::engine {

using Clock = std::chrono::steady_clock;

Result<uint64_t> Mailbox::submit(std::shared_ptr<const Request> request) {
  const std::lock_guard lock(mutex_);
  if (refusing_ != nullptr) return error(ErrorCode::kUnavailable, "{}", refusing_);
  const int64_t waiting = queued_ + static_cast<int64_t>(mail_.submissions.size());
  if (waiting - free_slots_ >= room_)
    return error(ErrorCode::kResourceExhausted, "the queue is full: {} requests wait", waiting);
  const uint64_t id = last_id_ + 1;
  auto delivery = std::make_shared<Delivery>(id, std::move(request), Clock::now());
  const auto ticket = tickets_.emplace(id, Ticket{delivery}).first;
  try {
    mail_.submissions.push_back(std::move(delivery));
  } catch (...) {
    tickets_.erase(ticket);
    throw;
  }
  last_id_ = id;
  came_.notify_one();
  tick_.notify_one();
  return id;
}

void Mailbox::cancel(uint64_t request) noexcept {
  const std::lock_guard lock(mutex_);
  const auto place = tickets_.find(request);
  if (place == tickets_.end() || place->second.cancelled != TimePoint::max()) return;
  place->second.cancelled = Clock::now();
  cancels_ = true;
  came_.notify_one();
}

void Mailbox::refuse_more(const char* why) {
  const std::lock_guard lock(mutex_);
  refusing_ = why;
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  if (refusing_ == nullptr) refusing_ = "the engine is shutting down and takes no more requests";
  if (!mail_.closed) closed_ = Clock::now();
  mail_.closed = true;
  came_.notify_one();
}

bool Mailbox::wait_idle(TimePoint limit) {
  std::unique_lock lock(mutex_);
  if (limit != TimePoint::max()) return idle_.wait_until(lock, limit, [&] { return idle(); });
  idle_.wait(lock, [&] { return idle(); });
  return true;
}

bool Mailbox::answered() const {
  return std::none_of(tickets_.begin(), tickets_.end(),
                      [](const auto& each) { return each.second.delivery->open(); });
}

// The watchdog answers at its ticks; it does not tell.
bool Mailbox::wait_answered(TimePoint limit) {
  std::unique_lock lock(mutex_);
  while (!answered() && Clock::now() < limit) idle_.wait_for(lock, std::chrono::milliseconds(10));
  return answered();
}

bool Mailbox::wait_left(TimePoint limit) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, limit, [&] { return left_; });
}

void Mailbox::leave() {
  const std::lock_guard lock(mutex_);
  left_ = true;
  idle_.notify_all();
}

bool Mailbox::wait_tick(TimePoint::duration tick, TimePoint::duration idle_tick) {
  std::unique_lock lock(mutex_);
  const bool busy = !tickets_.empty() || alive_ > 0;
  const auto woken = [&] { return unwatched_ || (!busy && !tickets_.empty()); };
  tick_.wait_for(lock, busy ? tick : idle_tick, woken);
  return !unwatched_;
}

void Mailbox::stop_watch() {
  const std::lock_guard lock(mutex_);
  unwatched_ = true;
  tick_.notify_all();
}

std::vector<Mailbox::Due> Mailbox::due(TimePoint since) const {
  const std::lock_guard lock(mutex_);
  std::vector<Due> found;
  for (const auto& [id, ticket] : tickets_) {
    if (!ticket.delivery->open()) continue;
    if (std::min(ticket.cancelled, closed_) <= since)
      found.push_back({ticket.delivery, FinishReason::kCancelled});
    else if (ticket.delivery->request()->deadline <= since)
      found.push_back({ticket.delivery, FinishReason::kDeadline});
  }
  return found;
}

std::vector<std::shared_ptr<Delivery>> Mailbox::open() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Delivery>> found;
  for (const auto& [id, ticket] : tickets_)
    if (ticket.delivery->open()) found.push_back(ticket.delivery);
  return found;
}

Mail Mailbox::take(bool nothing_to_do, TimePoint limit) {
  std::unique_lock lock(mutex_);
  const auto something = [&] { return mail_.closed || !mail_.submissions.empty() || cancels_; };
  if (nothing_to_do && limit != TimePoint::max())
    came_.wait_until(lock, limit, something);
  else if (nothing_to_do)
    came_.wait(lock, something);
  Mail taken;
  if (cancels_) {
    for (const auto& [id, ticket] : tickets_)
      if (ticket.cancelled != TimePoint::max() && !ticket.told) taken.cancels.push_back(id);
    for (const uint64_t id : taken.cancels) tickets_.at(id).told = true;
    cancels_ = false;
  }
  taken.submissions.swap(mail_.submissions);
  taken.closed = mail_.closed;
  // Until the next report they count as alive and as waiting.
  alive_ += static_cast<int64_t>(taken.submissions.size());
  queued_ += static_cast<int64_t>(taken.submissions.size());
  return taken;
}

void Mailbox::done(uint64_t request) noexcept {
  const std::lock_guard lock(mutex_);
  tickets_.erase(request);
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
