#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

namespace continuo::engine {
namespace {

Status check_buckets(const char* option, const std::vector<int64_t>& buckets, int64_t at_most) {
  if (buckets.empty())
    return error(ErrorCode::kInvalidArgument, "{}: wanted at least one bucket, got none", option);
  int64_t before = 0;
  for (const int64_t each : buckets) {
    if (each <= before || each > at_most)
      return error(ErrorCode::kInvalidArgument,
                   "{}: wanted ascending buckets from 1 to {}, got {} after {}", option, at_most,
                   each, before);
    before = each;
  }
  return ok_status();
}

Status refuse(const char* field, const char* wanted, int64_t bound, int64_t got) {
  return error(ErrorCode::kInvalidArgument, "{}: wanted {} {}, got {}", field, wanted, bound, got);
}

}  // namespace

SchedulerOptions default_scheduler_options(int64_t slots, int64_t context,
                                           const StepLimits& limits) {
  SchedulerOptions options{.slots = slots, .context = context};
  const int64_t widest = std::max<int64_t>(1, std::min(limits.columns, context));
  for (int64_t columns = 16; columns < widest; columns *= 4) options.columns.push_back(columns);
  options.columns.push_back(widest);
  options.prefill_budget = widest;
  for (int64_t attended = 256; attended < context && !limits.attends_in_place; attended *= 2)
    options.attended.push_back(attended);
  options.attended.push_back(context);
  return options;
}

SchedulerOptions deterministic_options(SchedulerOptions options) {
  options.deterministic = true;
  options.columns = {options.columns.back()};
  options.attended = {options.context};
  options.argmax = !options.sample;
  return options;
}

int64_t bucket_of(const std::vector<int64_t>& buckets, int64_t size) {
  return *std::lower_bound(buckets.begin(), buckets.end(), size);
}

int64_t chunk_of(const SchedulerOptions& options, int64_t left) {
  // Padding of a narrow step is cheap: it reads the weights once, as another step would.
  constexpr int64_t kNarrow = 256;
  const auto width = std::lower_bound(options.columns.begin(), options.columns.end(), left);
  if (width == options.columns.end()) return options.columns.back();
  if (width == options.columns.begin() || *width <= kNarrow || 2 * left > *width) return left;
  return *(width - 1);  // a full step, and the rest in another
}

Status check(const SchedulerOptions& options) {
  if (options.slots < 1) return refuse("slots", "at least", 1, options.slots);
  if (options.context < 2) return refuse("context", "at least", 2, options.context);
  if (!options.argmax && !options.sample)
    return error(ErrorCode::kInvalidArgument, "argmax, sample: wanted at least one, got none");
  if (options.max_queue < 1) return refuse("max_queue", "at least", 1, options.max_queue);
  CONTINUO_RETURN_IF_ERROR(
      check_buckets("columns", options.columns, std::min(options.prefill_budget, options.context)));
  CONTINUO_RETURN_IF_ERROR(check_buckets("attended", options.attended, options.context));
  if (options.attended.back() != options.context)
    return refuse("attended", "the last bucket to be the context of", options.context,
                  options.attended.back());
  if (options.deterministic && (options.columns.size() > 1 || options.attended.size() > 1 ||
                                options.argmax == options.sample))
    return error(ErrorCode::kInvalidArgument,
                 "deterministic: expected one width, one bucket and one head, got {}, {} and {}",
                 options.columns.size(), options.attended.size(),
                 int(options.argmax) + int(options.sample));
  return ok_status();
}

const char* to_string(EndReason reason) {
  switch (reason) {
    case EndReason::kStop:
      return "stop";
    case EndReason::kMaxTokens:
      return "max_tokens";
    case EndReason::kContextFull:
      return "context_full";
    case EndReason::kCancelled:
      return "cancelled";
    case EndReason::kDeadline:
      return "deadline";
    case EndReason::kFailed:
      return "failed";
    case EndReason::kNotFinite:
      return "not_finite";
  }
  return "unknown";
}

Scheduler::Scheduler(SchedulerOptions options)
    : options_(std::move(options)),
      slot_taken_(static_cast<size_t>(options_.slots), false),
      budget_left_(options_.prefill_budget) {}

// --- from the outside ---

Status Scheduler::check(const SchedulerRequest& request, const SchedulerOptions& options) {
  if (request.prompt < 1)
    return error(ErrorCode::kInvalidArgument,
                 "the prompt is empty: wanted at least 1 token, got {}", request.prompt);
  if (request.prompt >= options.context)
    return error(ErrorCode::kInvalidArgument,
                 "the prompt is too long: a context of {} wanted at most {} tokens, got {}",
                 options.context, options.context - 1, request.prompt);
  if (request.max_tokens < 1) return refuse("max_tokens", "at least", 1, request.max_tokens);
  if (request.choices < 1 || request.choices > options.slots)
    return refuse("n", "between 1 and the number of slots,", options.slots, request.choices);
  return ok_status();
}

Status Scheduler::submit(const SchedulerRequest& request) {
  if (request.id <= last_id_)
    return error(ErrorCode::kInvalidArgument, "id: wanted one above {}, got {}", last_id_,
                 request.id);
  CONTINUO_RETURN_IF_ERROR(check(request, options_));
  if (int64_t(queue_.size()) >= options_.max_queue)
    return error(ErrorCode::kResourceExhausted, "the queue is full: {} requests wait",
                 queue_.size());
  last_id_ = request.id;
  queue_.push_back(request);
  return ok_status();
}

bool Scheduler::waits(uint64_t request) const {
  return std::any_of(queue_.begin(), queue_.end(),
                     [&](const SchedulerRequest& each) { return each.id == request; });
}

bool Scheduler::cancel(uint64_t request, EndReason reason) {
  const auto waiting = std::find_if(queue_.begin(), queue_.end(),
                                    [&](const auto& each) { return each.id == request; });
  if (waiting != queue_.end()) {
    end_waiting(*waiting, reason);
    queue_.erase(waiting);
    return true;
  }
  std::vector<SequenceId> alive;
  for (const Sequence& each : running_)
    if (each.id.request == request) alive.push_back(each.id);
  for (const SequenceId& each : alive) end(each, reason);
  return !alive.empty();
}

Status Scheduler::commit(int64_t step, std::span<const SequenceId> stopped) {
  if (in_flight_.empty() || in_flight_.front().step != step)
    return error(ErrorCode::kInvalidArgument, "commit: wanted step {}, got {}",
                 in_flight_.empty() ? -1 : in_flight_.front().step, step);
  const std::vector<StepSample>& samples = in_flight_.front().samples;
  for (const SequenceId& each : stopped)
    if (std::none_of(samples.begin(), samples.end(),
                     [&](const StepSample& sample) { return sample.sequence == each; }))
      return error(ErrorCode::kInvalidArgument, "commit: step {} sampled nothing for request {}/{}",
                   step, each.request, each.choice);
  for (const StepSample& sample : samples) {
    Sequence* sequence = find(sample.sequence);
    if (sequence == nullptr) {
      ++discarded_tokens_;
      continue;
    }
    ++sequence->committed;
    ++generated_tokens_;
    if (std::find(stopped.begin(), stopped.end(), sample.sequence) != stopped.end())
      end(sample.sequence, EndReason::kStop);
    else if (sequence->committed == sequence->limit)
      end(sample.sequence, sequence->limit_reason);
  }
  in_flight_.pop_front();
  return ok_status();
}

void Scheduler::fail_all(bool waiting) {
  for (; waiting && !queue_.empty(); queue_.pop_front())
    end_waiting(queue_.front(), EndReason::kFailed);
  while (!running_.empty()) end(running_.front().id, EndReason::kFailed);
  slot_taken_.assign(slot_taken_.size(), false);
  in_flight_.clear();
  unforked_.clear();
  budget_left_ = options_.prefill_budget;
}

std::vector<EndedSequence> Scheduler::take_ended() { return std::exchange(ended_, {}); }

// --- ends ---

Scheduler::Sequence* Scheduler::find(SequenceId id) {
  // The order of admission is that of the ids.
  const auto place = std::lower_bound(
      running_.begin(), running_.end(), id,
      [](const Sequence& each, const SequenceId& wanted) { return each.id < wanted; });
  return place == running_.end() || place->id != id ? nullptr : &*place;
}

const Scheduler::Sequence* Scheduler::find(SequenceId id) const {
  return const_cast<Scheduler*>(this)->find(id);
}

void Scheduler::release(Sequence& sequence) {
  if (sequence.slot == kNoSlot) return;
  slot_taken_[static_cast<size_t>(sequence.slot)] = false;
  sequence.slot = kNoSlot;
}

// An exception leaves these two as if they had not been called.
void Scheduler::end(SequenceId id, EndReason reason) {
  Sequence* sequence = find(id);
  ended_.push_back({id, reason, sequence->committed});
  release(*sequence);
  running_.erase(running_.begin() + (sequence - running_.data()));
}

void Scheduler::end_waiting(const SchedulerRequest& request, EndReason reason) {
  ended_.reserve(ended_.size() + static_cast<size_t>(request.choices));
  for (int64_t choice = 0; choice < request.choices; ++choice)
    ended_.push_back({{request.id, choice}, reason, 0});
}

void Scheduler::end_overdue(TimePoint now) {
  std::erase_if(queue_, [&](const SchedulerRequest& each) {
    if (each.deadline > now) return false;
    end_waiting(each, EndReason::kDeadline);
    return true;
  });
  std::vector<SequenceId> overdue;
  for (const Sequence& each : running_)
    if (each.deadline <= now) overdue.push_back(each.id);
  for (const SequenceId& each : overdue) end(each, EndReason::kDeadline);
}

// --- what is ---

SchedulerStats Scheduler::stats() const {
  SchedulerStats stats{.waiting = int64_t(queue_.size()),
                       .running = int64_t(running_.size()),
                       .prefill_tokens = prefill_tokens_,
                       .generated_tokens = generated_tokens_,
                       .discarded_tokens = discarded_tokens_};
  for (const Sequence& each : running_) {
    if (each.slot == kNoSlot) continue;
    ++stats.slots_in_use;
    stats.kv_positions += each.fed;
  }
  return stats;
}

std::vector<RunningSequence> Scheduler::running() const {
  std::vector<RunningSequence> all;
  for (const Sequence& each : running_)
    all.push_back({each.id, each.slot, each.prompt, each.fed, each.sampled});
  return all;
}

Status Scheduler::check_integrity() const {
  const auto broken = [](const char* what, const Sequence& each) {
    return error(
        ErrorCode::kInternal,
        "{}: request {}/{} in slot {}: prompt {}, fed {}, sampled {}, committed {}, limit {}", what,
        each.id.request, each.id.choice, each.slot, each.prompt, each.fed, each.sampled,
        each.committed, each.limit);
  };
  std::vector<bool> owned(slot_taken_.size(), false);
  uint64_t prefilling = 0;
  for (const Sequence& each : running_) {
    if (each.slot != kNoSlot) {
      if (owned[static_cast<size_t>(each.slot)]) return broken("a slot has two owners", each);
      owned[static_cast<size_t>(each.slot)] = true;
    }
    if ((each.slot == kNoSlot) != (each.sampled == each.limit))
      return broken("a slot is held while a token is to come, and no longer", each);
    if (each.committed >= each.limit || each.sampled > each.limit) return broken("too long", each);
    if (each.fed > options_.context) return broken("beyond the context", each);
    if (each.sampled == 0 ? each.fed >= each.prompt : each.fed != each.prompt + each.sampled - 1)
      return broken("positions and tokens disagree", each);
    if (each.sampled == 0 && prefilling != 0 && prefilling != each.id.request)
      return broken("two prompts are partly prefilled", each);
    if (each.sampled == 0) prefilling = each.id.request;
    int64_t pending = 0;
    for (const InFlight& step : in_flight_)
      for (const StepSample& sample : step.samples) pending += sample.sequence == each.id;
    if (pending != each.sampled - each.committed) return broken("a token was lost", each);
  }
  if (owned != slot_taken_) return error(ErrorCode::kInternal, "a slot is taken without an owner");
  if (int64_t(queue_.size()) > options_.max_queue)
    return error(ErrorCode::kInternal, "the queue is too long: {}", queue_.size());
  return ok_status();
}

}  // namespace continuo::engine
