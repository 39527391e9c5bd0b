// The scheduler against a fake device and virtual time: 50,000 random requests in serial and in
// overlapped mode, with cancels, deadlines, failing steps, EOS and several choices. The device
// keeps what each slot was fed, so that a wrong plan shows as a wrong answer. CONTINUO_SEED=n sets
// the seed, CONTINUO_WORLDS=n the number of worlds of 5,000 requests.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "engine/scheduler.h"
#include "engine/scheduler_fake_device_test.h"

namespace continuo::engine {
namespace {

constexpr int kRequestsAWorld = 5000;

int worlds() {
  const char* text = std::getenv("CONTINUO_WORLDS");
  return text != nullptr ? std::atoi(text) : 10;
}

uint64_t seed() {
  const char* text = std::getenv("CONTINUO_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20261124;
}

// --- one world: its options, load and faults come from a seed ---

class World {
 public:
  World(uint64_t seed, bool overlapped)
      : random_(seed),
        ahead_(overlapped ? 1 + below(2) : 0),
        load_(below(95) + 1),
        failures_(below(2) * 5),
        options_(random_options()),
        scheduler_(options_),
        device_(options_.slots) {
    require(check(options_));
    for (const StepKey& key : scheduler_.keys()) keys_.insert(key);
  }

  void run() {
    while (accepted_ < kRequestsAWorld || !scheduler_.idle()) {
      require(++turns_ < 200 * kRequestsAWorld, "no end in sight");
      arrive();
      if (below(100) < 4) cancel();
      const auto plan = scheduler_.plan(time());
      collect_ends();
      check_no_starvation(plan ? &*plan : nullptr);
      if (plan) launch(*plan);
      check_charges();
      if (ahead_ > 0 && below(100) < 4) cancel();
      if (in_flight_.size() > (plan ? ahead_ : 0)) commit();
      check_charges();
      now_ += int64_t(below(3));
    }
    for (const auto& [id, stream] : streams_)
      require(stream.ended, "request {}/{} never ended", id.request, id.choice);
    require(ahead_ > 0 || scheduler_.stats().discarded_tokens == 0, "the serial mode wastes");
  }

  std::map<EndReason, int64_t> reasons;  // why sequences ended

 private:
  struct Stream {
    SchedulerRequest request;
    int64_t limit = 0;                   // tokens of the answer
    int64_t prefilled = 0, planned = 0;  // prompt tokens fed, tokens sampled, by planned steps
    Tokens tokens;                       // committed
    bool ended = false;
    bool holds_slot() const { return planned < limit; }
    // Unless its newest token is the host's to choose, and it has not.
    bool decodes() const {
      const bool waits = planned > int64_t(tokens.size()) && planned <= request.host_tokens;
      return planned > 0 && planned < limit && !waits;
    }
  };
  struct Launched {
    StepPlan plan;
    Tokens tokens;
  };

  uint64_t below(uint64_t bound) { return random_() % bound; }
  TimePoint time() const { return TimePoint{} + std::chrono::milliseconds(now_); }
  SchedulerOptions random_options();

  // --- what happens ---
  void arrive();
  void cancel();
  void launch(const StepPlan& plan);
  void commit();
  void collect_ends();
  // --- what must hold ---
  void check_plan(const StepPlan& plan);
  void check_no_starvation(const StepPlan* plan);
  void check_charges();
  void check_end(const EndedSequence& end, const Stream& stream);

  std::mt19937_64 random_;
  size_t ahead_;       // steps planned before the oldest one's tokens are read
  uint64_t load_;      // percent: how likely one more request arrives
  uint64_t failures_;  // of a thousand steps
  SchedulerOptions options_;
  Scheduler scheduler_;
  FakeDevice device_;
  std::set<StepKey> keys_;
  std::map<SequenceId, Stream> streams_;
  std::deque<SchedulerRequest> waiting_;  // as the queue should be
  std::set<SequenceId> running_;          // admitted, not ended
  std::map<int32_t, SequenceId> owner_;   // the last one that lived in a slot
  std::deque<Launched> in_flight_;
  uint64_t last_id_ = 0;
  int64_t accepted_ = 0, turns_ = 0, now_ = 0;
  int64_t columns_since_decode_ = 0;  // of prefill steps
  int64_t head_waits_ = 0;            // steps
  bool last_was_prefill_ = false;
  std::optional<EndReason> expected_;  // while a cancel or a failure is under way
};

SchedulerOptions World::random_options() {
  SchedulerOptions options{.slots = int64_t(1 + below(6)),
                           .context = int64_t(12 + below(50)),
                           .max_queue = int64_t(1 + below(30))};
  for (auto columns = int64_t(1 + below(6)); columns <= options.context; columns += 1 + below(16))
    options.columns.push_back(columns);
  options.prefill_budget = options.columns.back() + int64_t(below(20));
  for (auto attended = int64_t(2 + below(8)); attended < options.context; attended += 1 + below(20))
    options.attended.push_back(attended);
  options.attended.push_back(options.context);
  options.argmax = below(2) == 0;
  return options;
}

void World::arrive() {
  while (accepted_ < kRequestsAWorld && below(100) < load_) {
    SchedulerRequest request{.id = ++last_id_};
    const int64_t longest = below(4) == 0 ? options_.context : options_.context / 3;
    request.prompt = int64_t(below(uint64_t(longest + 1)));
    request.max_tokens = int64_t(below(below(8) == 0 ? 80 : 12));
    if (below(8) == 0) request.choices = int64_t(1 + below(uint64_t(options_.slots + 1)));
    if (below(8) == 0) request.deadline = time() + std::chrono::milliseconds(below(90));
    if (below(4) == 0) request.head = models::Head::kSample;
    if (below(8) == 0) request.chooser = true;
    if (below(4) == 0) request.host_tokens = below(2) == 0 ? 1 : request.max_tokens;
    const bool possible = request.prompt >= 1 && request.prompt < options_.context &&
                          request.max_tokens >= 1 && request.choices <= options_.slots;
    const bool room = int64_t(waiting_.size()) < options_.max_queue;
    const Status status = scheduler_.submit(request);
    require(status.ok() == (possible && room), "request {}: {}", request.id,
            status.ok() ? "accepted" : status.error().message);
    if (!status.ok()) continue;
    ++accepted_;
    waiting_.push_back(request);
    const int64_t limit = std::min(request.max_tokens, options_.context - request.prompt + 1);
    for (int64_t choice = 0; choice < request.choices; ++choice)
      streams_[{request.id, choice}] = {.request = request, .limit = limit};
  }
}

// One of the last requests: it may wait, run, have ended, or never have been accepted.
void World::cancel() {
  const uint64_t id = last_id_ - std::min(last_id_, below(20));
  const auto alive = [&] {
    return std::any_of(streams_.lower_bound({id, 0}), streams_.lower_bound({id + 1, 0}),
                       [](const auto& each) { return !each.second.ended; });
  };
  const bool was_alive = alive();
  expected_ = EndReason::kCancelled;
  require(scheduler_.cancel(id) == was_alive, "cancel of request {}: wanted {}", id, was_alive);
  collect_ends();
  expected_.reset();
  require(!alive(), "request {} survived its cancel", id);
}

void World::launch(const StepPlan& plan) {
  check_plan(plan);
  if (below(1000) >= failures_) {
    in_flight_.push_back({plan, device_.run(plan)});
    return;
  }
  scheduler_.fail_all();
  device_.lose_state();
  in_flight_.clear();
  expected_ = EndReason::kFailed;
  collect_ends();
  expected_.reset();
  require(running_.empty(), "something survived the failure");
}

void World::commit() {
  const Launched step = std::move(in_flight_.front());
  in_flight_.pop_front();
  std::vector<SequenceId> stopped;
  for (size_t i = 0; i < step.plan.samples.size(); ++i) {
    const StepSample& sample = step.plan.samples[i];
    Stream& stream = streams_.at(sample.sequence);
    require(scheduler_.alive(sample.sequence) != stream.ended, "alive() is wrong");
    if (stream.ended) continue;
    require(sample.index == int64_t(stream.tokens.size()), "token {} came in the place of {}",
            sample.index, stream.tokens.size());
    stream.tokens.push_back(step.tokens[i]);
    if (is_eos(step.tokens[i])) stopped.push_back(sample.sequence);
  }
  require(scheduler_.commit(step.plan.number, stopped));
  collect_ends();
}

void World::collect_ends() {
  for (const EndedSequence& each : scheduler_.take_ended()) {
    Stream& stream = streams_.at(each.sequence);
    require(!stream.ended, "request {} ended twice", each.sequence.request);
    check_end(each, stream);
    stream.ended = true;
    ++reasons[each.reason];
    running_.erase(each.sequence);
    std::erase_if(waiting_, [&](const auto& it) { return it.id == each.sequence.request; });
  }
}

void World::check_end(const EndedSequence& end, const Stream& stream) {
  const uint64_t id = end.sequence.request;
  require(end.tokens == int64_t(stream.tokens.size()), "request {}: {} tokens, {} came", id,
          end.tokens, stream.tokens.size());
  const FakeAnswer whole = alone(stream.request, end.sequence.choice, options_.context);
  require(stream.tokens.size() <= whole.tokens.size() &&
              std::equal(stream.tokens.begin(), stream.tokens.end(), whole.tokens.begin()),
          "request {} got other tokens than alone", id);
  const bool asked = end.reason == EndReason::kCancelled || end.reason == EndReason::kFailed;
  require(asked == expected_.has_value() && (!asked || end.reason == *expected_),
          "request {} ended with {}", id, to_string(end.reason));
  if (end.reason == EndReason::kDeadline)
    require(stream.request.deadline <= time(), "request {} ended before its deadline", id);
  if (end.reason == EndReason::kStop || end.reason == EndReason::kMaxTokens ||
      end.reason == EndReason::kContextFull)
    require(end.reason == whole.reason && stream.tokens.size() == whole.tokens.size(),
            "request {}: {} after {}, alone {} after {}", id, to_string(end.reason), end.tokens,
            to_string(whole.reason), whole.tokens.size());
}

// Its shape, its rows and who may have them; then follows what it advances.
void World::check_plan(const StepPlan& plan) {
  require(keys_.contains(plan.key), "[{},{}] attending {} is not among the keys", plan.key.rows,
          plan.key.columns, plan.key.attended);
  require(int64_t(plan.rows.size()) == plan.key.rows, "{} rows", plan.rows.size());
  for (size_t r = 0; r < plan.rows.size(); ++r) {
    const StepRow& row = plan.rows[r];
    require(plan.key.rows != options_.slots || row.slot == int32_t(r), "row {} is not in place", r);
    require(row.length <= plan.key.columns && row.start < plan.key.attended &&
                row.start + row.length <= plan.key.attended,
            "row {}: start {} length {}", r, row.start, row.length);
    if (row.length == 0) continue;
    if (row.prompt && row.start == 0) {
      require(!waiting_.empty() && waiting_.front().id == row.sequence.request,
              "request {} overtook", row.sequence.request);
      for (int64_t choice = 0; choice < waiting_.front().choices; ++choice)
        running_.insert({row.sequence.request, choice});
      waiting_.pop_front();
    }
    Stream& stream = streams_.at(row.sequence);
    require(!stream.ended, "request {} has ended", row.sequence.request);
    require(stream.request.deadline > time(), "request {} is overdue", row.sequence.request);
    require(row.prompt == (stream.planned == 0), "prompt and answer are mixed up");
    if (row.prompt) stream.prefilled += row.length;
    require(stream.prefilled <= stream.request.prompt, "a prompt is fed too far");
  }
  for (const StepSample& sample : plan.samples) {
    Stream& stream = streams_.at(sample.sequence);
    require(streams_.at({sample.sequence.request, 0}).prefilled == stream.request.prompt,
            "a token is sampled inside the prompt");
    require(sample.sequence.request == plan.rows.at(sample.row).sequence.request, "another's row");
    require(plan.chooser || plan.key.head == models::Head::kSample ||
                stream.request.head == models::Head::kArgmax,
            "request {} wants logits", sample.sequence.request);
    require(plan.chooser || !stream.request.chooser, "request {} wants the chooser",
            sample.sequence.request);
    const auto [place, first] = owner_.try_emplace(sample.slot, sample.sequence);
    const Stream& before = streams_.at(place->second);
    require(place->second == sample.sequence || before.ended || !before.holds_slot(),
            "slot {} has two owners", sample.slot);
    place->second = sample.sequence;
    require(++stream.planned <= stream.limit, "request {} is too long", sample.sequence.request);
  }
}

// A decode step advances every stream; prefill runs within its budget while streams wait; after a
// decode step comes a prompt's turn, if it has its slots; so that the queue's head waits a bounded
// number of steps: until all that ran before it has ended.
void World::check_no_starvation(const StepPlan* plan) {
  int64_t streams = 0, held = 0;
  bool prefilling = false;
  for (const SequenceId& id : running_) {
    streams += streams_.at(id).decodes();
    held += streams_.at(id).holds_slot();
    prefilling = prefilling || streams_.at(id).planned == 0;
  }
  const bool admissible =
      !prefilling && !waiting_.empty() && waiting_.front().choices <= options_.slots - held;
  head_waits_ = waiting_.empty() || (plan && plan->rows[0].prompt && plan->rows[0].start == 0)
                    ? 0
                    : head_waits_ + (plan != nullptr);
  require(head_waits_ <= 4 * options_.context, "the head waited {} steps", head_waits_);
  if (plan == nullptr) {
    require(streams == 0 && !prefilling && !admissible, "a step was possible");
  } else if (plan->rows[0].prompt) {
    columns_since_decode_ = streams == 0 ? 0 : columns_since_decode_ + plan->key.columns;
    require(columns_since_decode_ <= options_.prefill_budget, "streams waited for {} columns",
            columns_since_decode_);
  } else {
    require(int64_t(plan->samples.size()) == streams, "{} of {} streams in a decode step",
            plan->samples.size(), streams);
    require(columns_since_decode_ > 0 || last_was_prefill_ || (!prefilling && !admissible),
            "prompts starve");
    columns_since_decode_ = 0;
  }
  // Without a plan the budget stays as it was.
  if (plan != nullptr) last_was_prefill_ = plan->rows[0].prompt;
}

void World::check_charges() {
  require(scheduler_.check_integrity());
  int64_t slots = 0, positions = 0;
  for (const SequenceId& id : running_) {
    const Stream& stream = streams_.at(id);
    if (!stream.holds_slot()) continue;
    ++slots;
    positions += stream.planned > 0 ? stream.request.prompt + stream.planned - 1 : stream.prefilled;
  }
  const SchedulerStats stats = scheduler_.stats();
  require(stats.waiting == int64_t(waiting_.size()), "{} wait", stats.waiting);
  require(stats.running == int64_t(running_.size()), "{} run", stats.running);
  require(stats.slots_in_use == slots && slots <= options_.slots, "{} slots in use, wanted {}",
          stats.slots_in_use, slots);
  require(stats.kv_positions == positions, "{} positions in use, wanted {}", stats.kv_positions,
          positions);
}

class SchedulerSimulation : public testing::TestWithParam<bool> {};

TEST_P(SchedulerSimulation, KeepsEveryInvariant) {
  std::map<EndReason, int64_t> reasons;
  std::cout << "CONTINUO_SEED=" << seed() << "\n";
  for (int i = 0; i < worlds(); ++i) {
    try {
      World world(mix(seed(), uint64_t(i)), GetParam());
      world.run();
      for (const auto& [reason, count] : world.reasons) reasons[reason] += count;
    } catch (const std::exception& failure) {
      FAIL() << "CONTINUO_SEED=" << seed() << ", world " << i << ": " << failure.what();
    }
  }
  for (const auto& [reason, count] : reasons)
    std::cout << to_string(reason) << " " << count << "\n";
  EXPECT_EQ(reasons.size(), 6u) << "a way to end did not occur";
}

INSTANTIATE_TEST_SUITE_P(Modes, SchedulerSimulation, testing::Bool(),
                         [](const auto& each) { return each.param ? "overlapped" : "serial"; });

}  // namespace
}  // namespace continuo::engine
