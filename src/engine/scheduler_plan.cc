// The scheduler's next step: whose tokens it feeds, and which graph it needs.
#include <algorithm>
#include <set>
#include <utility>

#include "engine/scheduler.h"

namespace continuo::engine {

std::optional<StepPlan> Scheduler::plan(TimePoint now) {
  end_overdue(now);
  StepPlan plan{.number = next_step_};
  const bool decoding = std::any_of(running_.begin(), running_.end(),
                                    [](const Sequence& each) { return each.ready(); });
  Sequence* prefill = next_prefill(decoding);
  if (prefill == nullptr && !decoding) return std::nullopt;
  plan.forks = take_forks();
  prefill != nullptr ? plan_prefill(*prefill, plan) : plan_decode(plan);
  finish_key(plan);
  for (Sequence& each : running_)
    if (each.sampled == each.limit) release(each);
  ++next_step_;
  in_flight_.push_back({plan.number, plan.samples});
  return plan;
}

// The sequence whose chunk comes next, just admitted perhaps; none if there is none, it waits for
// slots, or its chunk exceeds what is left of the budget and streams wait for their tokens.
Scheduler::Sequence* Scheduler::next_prefill(bool decoding) {
  const auto fits = [&](int64_t left) {
    return !decoding || bucket_of(options_.columns, chunk_of(options_, left)) <= budget_left_;
  };
  const auto partly = std::find_if(running_.begin(), running_.end(),
                                   [](const Sequence& each) { return each.sampled == 0; });
  if (partly != running_.end()) return fits(partly->prompt - partly->fed) ? &*partly : nullptr;
  if (queue_.empty() || !fits(queue_.front().prompt)) return nullptr;
  const auto free = std::count(slot_taken_.begin(), slot_taken_.end(), false);
  return free >= queue_.front().choices ? &admit() : nullptr;
}

// Moves the queue's head to running, each choice with a slot; returns choice 0.
Scheduler::Sequence& Scheduler::admit() {
  const SchedulerRequest request = queue_.front();
  running_.reserve(running_.size() + static_cast<size_t>(request.choices));
  queue_.pop_front();
  // The last token of an answer is never fed, so that it needs no position.
  const int64_t room = options_.context - request.prompt + 1;
  const size_t first = running_.size();
  for (int64_t choice = 0; choice < request.choices; ++choice) {
    const auto slot = std::find(slot_taken_.begin(), slot_taken_.end(), false);
    *slot = true;
    running_.push_back({.id = {request.id, choice},
                        .head = request.head,
                        .chooser = request.chooser,
                        .host_tokens = request.host_tokens,
                        .deadline = request.deadline,
                        .prompt = request.prompt,
                        .limit = std::min(request.max_tokens, room),
                        .limit_reason = request.max_tokens <= room ? EndReason::kMaxTokens
                                                                   : EndReason::kContextFull,
                        .slot = static_cast<int32_t>(slot - slot_taken_.begin())});
  }
  return running_[first];
}

// Choices that ended with their first token need no copy. The source's slot may have a new owner by
// now: copies come before the step that feeds it.
std::vector<SlotFork> Scheduler::take_forks() {
  std::vector<SlotFork> forks;
  for (const StepSample& each : std::exchange(unforked_, {}))
    if (const Sequence* sequence = find(each.sequence); sequence != nullptr && sequence->decodes())
      forks.push_back({fork_from_, sequence->slot, sequence->prompt});
  return forks;
}

void Scheduler::plan_prefill(Sequence& first, StepPlan& plan) {
  const int64_t length = chunk_of(options_, first.prompt - first.fed);
  plan.key = {.rows = 1, .columns = bucket_of(options_.columns, length)};
  plan.rows = {{first.id, first.slot, int32_t(first.fed), int32_t(length), true}};
  first.fed += length;
  prefill_tokens_ += length;
  budget_left_ = std::max<int64_t>(0, budget_left_ - plan.key.columns);
  if (first.fed < first.prompt) return;
  fork_from_ = first.slot;
  for (Sequence& each : running_) {
    if (each.id.request != first.id.request) continue;
    each.fed = each.prompt;
    each.sampled = 1;
    plan.samples.push_back({each.id, 0, each.slot, 0});
    if (each.id != first.id) unforked_.push_back(plan.samples.back());
  }
}

void Scheduler::plan_decode(StepPlan& plan) {
  plan.key = {.rows = options_.slots, .columns = 1};
  plan.rows.resize(static_cast<size_t>(options_.slots));
  for (int32_t slot = 0; slot < options_.slots; ++slot) plan.rows[size_t(slot)].slot = slot;
  for (Sequence& each : running_) {
    if (!each.ready()) continue;
    const size_t row = static_cast<size_t>(each.slot);
    plan.rows[row] = {each.id, each.slot, int32_t(each.fed), 1, false};
    plan.samples.push_back({each.id, row, each.slot, each.sampled});
    ++each.fed;
    ++each.sampled;
  }
  budget_left_ = options_.prefill_budget;
}

void Scheduler::finish_key(StepPlan& plan) const {
  int64_t reach = plan.key.columns;
  for (const StepRow& row : plan.rows) reach = std::max<int64_t>(reach, row.start + row.length);
  plan.key.attended = bucket_of(options_.attended, reach);
  bool greedy = true;
  for (const StepSample& sample : plan.samples) {
    const Sequence& each = *find(sample.sequence);
    plan.chooser = plan.chooser || each.chooser;
    greedy = greedy && each.head == models::Head::kArgmax;
  }
  const bool prefill = std::any_of(plan.rows.begin(), plan.rows.end(),
                                   [](const StepRow& row) { return row.prompt; });
  // The chooser does the head's work for each row, so that the cheapest head will do.
  plan.key.head = options_.argmax && (greedy || plan.chooser) && !prefill ? models::Head::kArgmax
                                                                          : prefill_head();
}

std::vector<StepKey> Scheduler::keys() const {
  std::set<StepKey> keys;
  for (const int64_t attended : options_.attended) {
    if (options_.sample) keys.insert({options_.slots, 1, attended, models::Head::kSample});
    if (options_.argmax) keys.insert({options_.slots, 1, attended, models::Head::kArgmax});
    for (const int64_t columns : options_.columns)
      if (columns <= attended) keys.insert({1, columns, attended, prefill_head()});
  }
  return {keys.begin(), keys.end()};
}

}  // namespace continuo::engine
