// The step thread: admit -> plan -> run -> sample -> publish.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "engine/engine_impl.h"

namespace continuo::engine {

using Clock = std::chrono::steady_clock;

void Engine::Impl::loop() {
  while (receive()) {
    const TimePoint now = Clock::now();
    const std::optional<StepPlan> plan = scheduler_.plan(now);
    if (plan && !launch(*plan, now)) continue;
    // While this step runs, the host reads the tokens of the one before it.
    const size_t ahead = plan && options.overlap ? 1 : 0;
    while (in_flight_.size() > ahead && collect()) {
    }
    publish({});
    report();
  }
}

// Takes what others sent; false when the engine is closed and everything has ended.
bool Engine::Impl::receive() {
  Mail mail = mailbox.take(active_.empty() && in_flight_.empty());
  for (Mail::Submission& each : mail.submissions) admit(std::move(each));
  for (const uint64_t id : mail.cancels) scheduler_.cancel(id);
  if (mail.closed) {
    while (!active_.empty()) {
      scheduler_.cancel(active_.begin()->first);
      publish({});
    }
    report();
  }
  if (broken_ && !active_.empty()) {
    const Status made = runner_->reset();
    if (!made.ok()) fail(made.error());
    broken_ = !made.ok();
  }
  return !mail.closed;
}

void Engine::Impl::admit(Mail::Submission submission) {
  const uint64_t id = submission.id;
  Active& active = active_[id];
  active.request = std::move(submission.request);
  active.submitted = submission.at;
  const Request& request = active.request;
  for (int64_t choice = 0; choice < request.choices; ++choice)
    active.answers.emplace_back(
        request, choice, AnswerModel{tokenizer_, &eos_ids, vocab_, scheduler_.options().sample});
  const Answer& first = active.answers[0];
  const bool sampled = !first.chosen_on_host(1) && request.sampling.temperature > 0;
  const Status taken =
      scheduler_.submit({.id = id,
                         .prompt = static_cast<int64_t>(request.ids.size()),
                         .max_tokens = request.max_tokens,
                         .choices = request.choices,
                         .deadline = request.deadline,
                         .head = sampled ? models::Head::kSample : models::Head::kArgmax,
                         .chooser = first.uses_chooser(),
                         .host_tokens = first.host_tokens()});
  if (taken.ok()) return;
  // check() has passed and there was room: not expected, but nobody is to wait for ever.
  for (int64_t choice = 0; choice < request.choices; ++choice) {
    Event event{.request = id, .choice = choice, .error = taken.error().message};
    event.finish = FinishReason::kError;
    send(event);
  }
  active_.erase(id);
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
      const auto from = active_.at(row.sequence.request).request.ids.begin() + row.start;
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

bool Engine::Impl::launch(const StepPlan& plan, TimePoint now) {
  for (const StepRow& row : plan.rows)
    if (row.length > 0 && row.start == 0) active_.at(row.sequence.request).started = now;
  Status status;
  for (const SlotFork& fork : plan.forks)
    if (status.ok()) status = runner_->fork(fork);
  if (status.ok()) status = set_lines(plan);
  if (status.ok()) status = runner_->launch(plan.key, input_of(plan));
  if (!status.ok()) {
    fail(status.error());
    return false;
  }
  in_flight_.push_back({plan, now});
  return true;
}

// Reads the oldest step's tokens; false if it failed.
bool Engine::Impl::collect() {
  const InFlight step = std::move(in_flight_.front());
  in_flight_.pop_front();
  const auto result = runner_->collect();
  if (!result.ok()) {
    fail(result.error());
    return false;
  }
  record(step, Clock::now());
  take_tokens(step.plan, *result);
  return true;
}

// A failed step has taken the state with it.
void Engine::Impl::fail(const Error& failure) {
  spdlog::error("a step failed: {}", failure.message);
  failure_ = failure.message;
  ++failed_steps_;
  in_flight_.clear();
  const Status made = runner_->reset();
  broken_ = !made.ok();
  if (broken_) spdlog::error("the state could not be made anew: {}", made.error().message);
  scheduler_.fail_all(broken_);
  publish({});
  report();
}

}  // namespace continuo::engine
