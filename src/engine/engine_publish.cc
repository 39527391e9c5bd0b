// What the step thread tells others: events of requests, figures of steps.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "base/guard.h"
#include "engine/engine_impl.h"

namespace continuo::engine {
namespace {

double seconds(TimePoint from, TimePoint to) {
  return std::chrono::duration<double>(to - from).count();
}

FinishReason reason_of(EndReason reason) {
  switch (reason) {
    case EndReason::kStop:
      return FinishReason::kStop;
    case EndReason::kMaxTokens:
    case EndReason::kContextFull:
      return FinishReason::kLength;
    case EndReason::kCancelled:
      return FinishReason::kCancelled;
    case EndReason::kDeadline:
      return FinishReason::kDeadline;
    case EndReason::kNotFinite:
      return FinishReason::kNotFinite;
    case EndReason::kFailed:
      break;
  }
  return FinishReason::kError;
}

}  // namespace

// Ends the requests for which the model computed nothing to choose from: a row's own weights or
// inputs did that, so that the other rows' tokens stand.
void Engine::Impl::end_not_finite(const StepPlan& plan, const StepResult& result) {
  for (size_t r = 0; r < plan.rows.size(); ++r) {
    const StepRow& row = plan.rows[r];
    if (row.length == 0 || result.tokens[r] != ops::kNoToken) continue;
    if (!scheduler_.cancel(row.sequence.request, EndReason::kNotFinite)) continue;
    ++not_finite_;
    spdlog::error("request {}: its logits are not finite numbers after position {}",
                  row.sequence.request, row.start + row.length - 1);
  }
}

// Chooses where the host has to, and tells the scheduler whose answers have ended. A token that
// cannot be taken ends its request alone.
void Engine::Impl::take_tokens(const StepPlan& plan, const StepResult& result) {
  const TimePoint now = std::chrono::steady_clock::now();
  std::vector<Event> events;
  std::vector<SequenceId> stopped;
  events.reserve(plan.samples.size());
  stopped.reserve(plan.samples.size());
  end_not_finite(plan, result);
  for (const StepSample& sample : plan.samples) {
    if (!scheduler_.alive(sample.sequence)) continue;
    Event event{.request = sample.sequence.request, .choice = sample.sequence.choice};
    Result<bool> ends =
        guarded([&]() -> Result<bool> { return take_token(sample, result, now, event); });
    if (!ends.ok()) {
      fail_one(sample.sequence.request, std::move(ends).error());
      continue;
    }
    if (*ends) stopped.push_back(sample.sequence);
    events.push_back(std::move(event));
  }
  if (const Status done = scheduler_.commit(plan.number, stopped); !done.ok())
    spdlog::error("{}", done.error().message);
  publish(std::move(events));
}

// Whether the token ends its answer; an error where the request allows none.
Result<bool> Engine::Impl::take_token(const StepSample& sample, const StepResult& result,
                                      TimePoint now, Event& event) {
  Active& active = active_.at(sample.sequence.request);
  Answer& own = active.answers[static_cast<size_t>(sample.sequence.choice)];
  std::span<const float> logits;
  std::span<const int32_t> report = result.report;
  if (!result.logits.empty()) logits = result.logits[sample.row];
  if (const auto width = size_t(report_width(vocab_)); !report.empty())
    report = report.subspan(sample.row * width, width);
  const int32_t token =
      own.chosen_on_host(sample.index) ? own.choose(logits) : result.tokens[sample.row];
  if (token == ops::kNothingAllowed)
    return error(ErrorCode::kInvalidArgument,
                 "min_tokens, bad_words and logit_bias leave no token to choose");
  if (!active.first_token) active.first_token = now;
  return own.push(token, logits, report, now, event);
}

// Sends events; those of sequences that ended meanwhile carry the end, or one of their own does.
void Engine::Impl::publish(std::vector<Event> events) {
  for (const EndedSequence& ended : scheduler_.take_ended()) {
    const auto place = std::find_if(events.begin(), events.end(), [&](const Event& each) {
      return each.request == ended.sequence.request && each.choice == ended.sequence.choice;
    });
    Event bare{.request = ended.sequence.request, .choice = ended.sequence.choice};
    Event& event = place == events.end() ? bare : *place;
    finish(event, ended);
    if (&event == &bare) send(bare);
  }
  for (const Event& event : events) send(event);
}

void Engine::Impl::finish(Event& event, const EndedSequence& ended) {
  const auto place = active_.find(event.request);
  if (place == active_.end()) return;
  Active& active = place->second;
  event.finish = reason_of(ended.reason);
  Status told = guarded([&]() -> Status {
    if (event.finish == FinishReason::kError)
      event.error = active.failure.empty() ? failure_ : active.failure;
    if (event.finish == FinishReason::kNotFinite)
      event.error = "the model computed logits that are not finite numbers for this request";
    active.answers[static_cast<size_t>(event.choice)].finish(event);
    return ok_status();
  });
  if (!told.ok()) {
    event.finish = FinishReason::kError;
    event.error = std::move(told).error().message;
  }
  if (event.finish == FinishReason::kLength && !event.stop.empty())
    event.finish = FinishReason::kStop;
  const TimePoint started = active.started.value_or(std::chrono::steady_clock::now());
  event.timings.queued_s = seconds(active.delivery->submitted(), started);
  if (active.first_token) event.timings.prefill_s = seconds(started, *active.first_token);
}

void Engine::Impl::send(const Event& event) {
  const auto place = active_.find(event.request);
  if (place == active_.end()) return;
  Active& active = place->second;
  const bool heard = active.delivery->send(event);
  if (!event.finish) {
    if (!heard) fail_one(event.request, {ErrorCode::kInternal, "its listener failed"});
  } else if (++active.ended == active.request().choices) {
    mailbox.done(event.request);
    active_.erase(place);
  }
}

void Engine::Impl::record(const InFlight& step, TimePoint now) {
  ++steps_;
  EngineOptions::StepRecord record;
  for (const StepRow& row : step.plan.rows) {
    record.tokens += row.length;
    record.prefill = record.prefill || (row.length > 0 && row.prompt);
  }
  prefill_steps_ += record.prefill;
  record.seconds = seconds(std::max(step.launched, last_collected_), now);
  if (step.measured) clock_.ran(step.plan.key, record.seconds);
  last_collected_ = now;
  if (!options.on_step) return;
  const Status heard = guarded([&]() -> Status {
    options.on_step(record);
    return ok_status();
  });
  if (!heard.ok()) spdlog::error("a step's figures are lost: {}", heard.error().message);
}

EngineStats Engine::Impl::stats_now() const {
  const SchedulerStats now = scheduler_.stats();
  EngineStats stats = shape;
  stats.slot.resize(static_cast<size_t>(options.slots));
  const TimePoint time = std::chrono::steady_clock::now();
  for (const RunningSequence& each : scheduler_.running()) {
    const auto place = active_.find(each.sequence.request);
    if (each.slot < 0 || place == active_.end()) continue;
    const Active& active = place->second;
    SlotStats& slot = stats.slot[static_cast<size_t>(each.slot)];
    slot.request = each.sequence.request;
    slot.choice = each.sequence.choice;
    slot.prefilling = each.sampled == 0;
    slot.prompt_tokens = each.prompt;
    slot.position = each.fed;
    slot.generated = answer(each.sequence).tokens();
    if (active.started) slot.seconds = seconds(*active.started, time);
  }
  stats.running = now.running;
  stats.kv_positions = stats.kv_bytes_per_token > 0 ? now.kv_positions : 0;
  stats.prompt_tokens = now.prefill_tokens;
  stats.generated_tokens = now.generated_tokens;
  stats.discarded_tokens = now.discarded_tokens;
  stats.steps = steps_;
  stats.prefill_steps = prefill_steps_;
  stats.failed_steps = failed_steps_;
  stats.not_finite = not_finite_;
  return stats;
}

void Engine::Impl::report() {
  // Without memory for the picture, the one before stays.
  static_cast<void>(guarded([&]() -> Status {
    EngineStats stats = stats_now();
    const std::lock_guard lock(stats_mutex_);
    stats_ = std::move(stats);
    return ok_status();
  }));
  const SchedulerStats now = scheduler_.stats();
  mailbox.report(now.waiting, options.slots - now.slots_in_use,
                 static_cast<int64_t>(active_.size() + in_flight_.size()));
}

}  // namespace continuo::engine
