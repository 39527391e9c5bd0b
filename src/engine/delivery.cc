#include "engine/delivery.h"

#include <spdlog/spdlog.h>

#include "base/guard.h"

namespace continuo::engine {

Delivery::Delivery(uint64_t id, std::shared_ptr<const Request> request, TimePoint submitted)
    : id_(id),
      request_(std::move(request)),
      submitted_(submitted),
      choices_(static_cast<size_t>(request_->choices)),
      open_(request_->choices) {}

bool Delivery::call(const Event& event) const noexcept {
  if (!request_->on_event) return true;
  const Status heard = guarded([&]() -> Status {
    request_->on_event(event);
    return ok_status();
  });
  if (!heard.ok())
    spdlog::error("request {}: its listener threw: {}", event.request, heard.error().message);
  return heard.ok();
}

bool Delivery::send(const Event& event) noexcept {
  const std::lock_guard lock(mutex_);
  Choice& choice = choices_[static_cast<size_t>(event.choice)];
  if (choice.ended) return true;
  if (event.token) ++choice.tokens;
  if (event.finish) {
    choice.ended = true;
    --open_;
  }
  return call(event);
}

void Delivery::end(FinishReason reason, const std::string& why) noexcept {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < choices_.size(); ++i) {
    Choice& choice = choices_[i];
    if (choice.ended) continue;
    Event event{.request = id_, .choice = static_cast<int64_t>(i), .index = choice.tokens};
    event.finish = reason;
    event.prompt_tokens = static_cast<int64_t>(request_->ids.size());
    event.completion_tokens = choice.tokens;
    const Status copied = guarded([&]() -> Status {
      event.error = why;
      return ok_status();
    });
    if (!copied.ok()) event.error = "out of memory";  // fits the string's own buffer
    choice.ended = true;
    --open_;
    static_cast<void>(call(event));
  }
}

}  // namespace continuo::engine
