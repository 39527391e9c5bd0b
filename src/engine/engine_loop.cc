// The step thread: admit -> plan -> run -> sample -> publish.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/guard.h"
#include "engine/engine_impl.h"

namespace continuo::engine {

using Clock = std::chrono::steady_clock;

void Engine::Impl::loop() {
  for (bool more = true; more;) {
    Status done = guarded([&]() -> Status {
      more = turn();
      return ok_status();
    });
    if (!done.ok()) recover(std::move(done).error());
  }
  mailbox.leave();
}

// False when the engine is closed and everything has ended.
bool Engine::Impl::turn() {
  if (!receive()) return false;
  const TimePoint now = Clock::now();
  const std::optional<StepPlan> plan = scheduler_.plan(now);
  if (plan && !launch(*plan, now)) return true;
  // While this step runs, the host reads the tokens of the one before it.
  const size_t ahead = plan && options.overlap ? 1 : 0;
  while (in_flight_.size() > ahead && collect()) {
  }
  publish({});
  report();
  return true;
}

// Takes what others sent; false when the engine is closed and everything has ended.
bool Engine::Impl::receive() {
  constexpr std::chrono::seconds kTryAgain{2};
  const bool nothing_to_do = active_.empty() && in_flight_.empty();
  const Mail mail =
      mailbox.take(nothing_to_do, failing_ ? Clock::now() + kTryAgain : TimePoint::max());
  for (const auto& each : mail.submissions) admit(each);
  for (const uint64_t id : mail.cancels) scheduler_.cancel(id);
  if (mail.closed) {
    end_all();
    return false;
  }
  if (broken_ && !active_.empty()) remake();
  if (failing_ && active_.empty() && in_flight_.empty()) try_again();
  return true;
}

void Engine::Impl::remake() {
  Status made = watched(last_key_, [&] { return runner_->reset(); });
  broken_ = !made.ok();
  if (broken_) fail(std::move(made).error());
}

// Where steps fail nobody sends requests any more: an idle step, which leaves no trace, tells
// whether they work again.
void Engine::Impl::try_again() {
  if (broken_) remake();
  if (broken_) return;
  const std::vector<StepKey> keys = scheduler_.keys();
  const auto decode = std::find_if(keys.begin(), keys.end(), [&](const StepKey& key) {
    return key.rows == options.slots && key.columns == 1;
  });
  if (decode == keys.end()) return;
  StepPlan idle{.key = *decode};
  for (int32_t slot = 0; slot < options.slots; ++slot) idle.rows.push_back({.slot = slot});
  Status ran = ready(idle.key);
  if (ran.ok()) ran = watched(idle.key, [&] { return runner_->launch(idle.key, input_of(idle)); });
  if (ran.ok()) {
    auto result = watched(idle.key, [&] { return runner_->collect(); });
    if (!result.ok()) ran = std::move(result).error();
  }
  if (!ran.ok()) return fail(std::move(ran).error());
  failed_in_row_ = 0;
  failing_ = false;
  spdlog::info("steps work again");
}

void Engine::Impl::end_all() {
  while (!active_.empty()) {
    const uint64_t id = active_.begin()->first;
    scheduler_.cancel(id);
    publish({});
    give_up(id, FinishReason::kCancelled, "");  // where the scheduler did not know it
  }
  in_flight_.clear();  // nobody waits for it
  report();
}

// A request that cannot be taken in ends; the others do not notice.
void Engine::Impl::admit(const std::shared_ptr<Delivery>& delivery) {
  const Request& request = *delivery->request();
  const Status taken = guarded([&]() -> Status {
    Active& active = active_[delivery->id()];
    active.delivery = delivery;
    active.answers.reserve(static_cast<size_t>(request.choices));
    for (int64_t choice = 0; choice < request.choices; ++choice)
      active.answers.emplace_back(
          delivery->request(), choice,
          AnswerModel{tokenizer_, &eos_ids, vocab_, scheduler_.options().sample});
    const Answer& first = active.answers[0];
    const bool sampled = !first.chosen_on_host(1) && request.sampling.temperature > 0;
    return scheduler_.submit({.id = delivery->id(),
                              .prompt = static_cast<int64_t>(request.ids.size()),
                              .max_tokens = request.max_tokens,
                              .choices = request.choices,
                              .deadline = request.deadline,
                              .head = sampled ? models::Head::kSample : models::Head::kArgmax,
                              .chooser = first.uses_chooser(),
                              .host_tokens = first.host_tokens()});
  });
  if (taken.ok()) return;
  delivery->end(FinishReason::kError, taken.error().message);
  active_.erase(delivery->id());
  mailbox.done(delivery->id());
}

// What the device is told: prompt tokens, or the token that a sequence chose last, which is on the
// device already unless the host has chosen it.
StepInput Engine::Impl::input_of(const StepPlan& plan) const {
  const size_t rows = plan.rows.size(), columns = static_cast<size_t>(plan.key.columns);
  StepInput input;
  input.tokens.assign(rows * columns, 0);
  input.feed.assign(rows, 0);
  for (size_t r = 0; r < rows; ++r) {
    const StepRow& row = plan.rows[r];
    input.slot.push_back(row.slot);
    input.start.push_back(row.start);
    input.length.push_back(row.length);
    if (row.length > 0 && row.prompt) {
      const auto from = active_.at(row.sequence.request).request().ids.begin() + row.start;
      std::copy_n(from, row.length, input.tokens.begin() + std::ptrdiff_t(r * columns));
    }
  }
  if (plan.key.head == models::Head::kSample) input.sampling.resize(rows);
  for (const StepSample& sample : plan.samples) {
    const Answer& own = answer(sample.sequence);
    if (!input.sampling.empty()) input.sampling[sample.row] = own.sample_row(sample.index);
    if (plan.rows[sample.row].prompt) continue;
    input.feed[sample.row] = !own.chosen_on_host(sample.index - 1);
    if (input.feed[sample.row] == 0) input.tokens[sample.row * columns] = own.last_token();
  }
  add_choices(plan, input);
  return input;
}

// What is chosen behind the head, and whose logits the host wants; several choices share a row.
void Engine::Impl::add_choices(const StepPlan& plan, StepInput& input) const {
  if (plan.chooser) input.choices.resize(plan.rows.size());
  for (const StepSample& sample : plan.samples) {
    const Answer& own = answer(sample.sequence);
    if (plan.chooser) input.choices[sample.row] = own.choice_row(sample.index);
    if (own.wants_logits(sample.index) &&
        (input.logits_of.empty() || input.logits_of.back() != sample.row))
      input.logits_of.push_back(sample.row);
  }
}

Status Engine::Impl::set_lines(const StepPlan& plan) {
  for (const StepSample& sample : plan.samples) {
    Answer& own = active_.at(sample.sequence.request).answers[size_t(sample.sequence.choice)];
    if (own.chosen_on_host(sample.index)) continue;
    if (const std::optional<SlotLine> line = own.take_line())
      CONTINUO_RETURN_IF_ERROR(runner_->set_line(sample.slot, *line));
  }
  return ok_status();
}

// Compiles what a step needs where that has not been done ahead. It is no step: the watchdog does
// not count it, and what is under way meanwhile measures nothing.
Status Engine::Impl::ready(const StepKey& key) {
  if (runner_->prepared(key)) return ok_status();
  for (InFlight& each : in_flight_) each.measured = false;
  return guarded([&] { return runner_->prepare({&key, 1}, {}); });
}

bool Engine::Impl::launch(const StepPlan& plan, TimePoint now) {
  last_key_ = plan.key;
  for (const StepRow& row : plan.rows)
    if (row.length > 0 && row.start == 0) active_.at(row.sequence.request).started = now;
  Status status = ready(plan.key);
  in_flight_.push_back({plan, now});  // first: what is launched must not be forgotten
  if (status.ok())
    status = watched(plan.key, [&]() -> Status {
      for (const SlotFork& fork : plan.forks) CONTINUO_RETURN_IF_ERROR(runner_->fork(fork));
      CONTINUO_RETURN_IF_ERROR(set_lines(plan));
      return runner_->launch(plan.key, input_of(plan));
    });
  if (!status.ok()) {
    fail(std::move(status).error());
    return false;
  }
  return true;
}

// Reads the oldest step's tokens; false if it failed.
bool Engine::Impl::collect() {
  const InFlight step = std::move(in_flight_.front());
  in_flight_.pop_front();
  auto result = watched(step.plan.key, [&] { return runner_->collect(); });
  if (!result.ok()) {
    fail(std::move(result).error());
    return false;
  }
  failed_in_row_ = 0;
  failing_ = false;
  record(step, Clock::now());
  take_tokens(step.plan, *result);
  return true;
}

// A failed step has taken the state with it.
void Engine::Impl::fail(Error failure) {
  constexpr int64_t kFailing = 3;  // in a row
  spdlog::error("a step failed: {}", failure.message);
  failure_ = std::move(failure.message);
  ++failed_steps_;
  in_flight_.clear();
  const Status made = watched(last_key_, [&] { return runner_->reset(); });
  broken_ = !made.ok();
  failing_ = broken_ || ++failed_in_row_ >= kFailing;
  if (broken_) spdlog::error("the state could not be made anew: {}", made.error().message);
  scheduler_.fail_all(broken_);
  publish({});
  // An exception may have come between the scheduler and us: nobody is to wait for ever.
  for (auto next = active_.begin(); next != active_.end();) {
    const uint64_t id = (next++)->first;
    if (!scheduler_.waits(id)) give_up(id, FinishReason::kError, failure_);
  }
  report();
}

// What no request can be blamed for is a failed step. Where even that fails, it has freed
// something: memory comes back as requests end.
void Engine::Impl::recover(Error failure) {
  constexpr int kAttempts = 200;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Status done = guarded([&]() -> Status {
      fail(std::move(failure));
      return ok_status();
    });
    if (done.ok()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  static_cast<void>(guarded([&]() -> Status {
    hang("the loop cannot recover");
    return ok_status();
  }));
}

// Ends one request; its event says why.
void Engine::Impl::fail_one(uint64_t request, Error failure) {
  spdlog::error("request {} failed: {}", request, failure.message);
  if (const auto place = active_.find(request); place != active_.end())
    place->second.failure = std::move(failure.message);
  scheduler_.cancel(request, EndReason::kFailed);
}

void Engine::Impl::give_up(uint64_t request, FinishReason reason, const std::string& why) {
  const auto place = active_.find(request);
  if (place == active_.end()) return;
  place->second.delivery->end(reason, why);
  active_.erase(place);
  mailbox.done(request);
}

}  // namespace continuo::engine
