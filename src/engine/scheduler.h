// Scheduler: which tokens of which request go into which slot in which step. Host logic alone: no
// device, no thread, no clock of its own, so that it is simulated whole
// (scheduler_simulation_test). The engine's loop drives it: submit() and cancel(), then plan() ->
// run -> sample -> commit().
//
// Steps are of two kinds (design: rows are slots in place for decode, one row for prefill):
//   prefill [1,T]  one chunk of one prompt, straight into its slot
//   decode  [B,1]  row r is slot r; every stream one token, idle rows have length 0
// A decode row does not ride along in a prefill step: in place that step would be [B,T], computing
// B times the chunk. Instead prefill steps may run `prefill_budget` columns between two decode
// steps. So a stream waits for one budget at most, and a prompt for one decode step between its
// chunks.
//
// Admission is first come, first served: the queue's head takes a slot when its first chunk is
// planned, and nobody overtakes it; so at most one prompt is partly prefilled. One that wants
// several choices waits until all their slots are free: the prompt is prefilled once, then forked.
//
// Overlap: plan() advances positions, so that step n+1 can be planned, and launched, before the
// tokens of step n are known; a decode row feeds what its sequence sampled last, on the device.
// Steps run, and are committed, in the order they were planned. A sequence that ended in step n may
// have a row in step n+1: its sample is then no longer alive() and is discarded. Committing each
// step before planning the next is the serial mode; nothing else differs.
//
// The first `host_tokens` tokens of an answer are chosen on the host: its row waits for each, so
// that it is in every other step at most, and the others go on meanwhile.
//
// A slot is free for the plan after its sequence's end. An end by length is known in advance: the
// slot is free in the next step even if the last token is still being computed. Sharing a slot is
// safe because steps run in order and a new owner starts at 0, where a step forgets the old state.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/request.h"
#include "engine/stepper.h"

namespace continuo::engine {

struct SchedulerOptions {
  int64_t slots = 1;              // B
  int64_t context = 0;            // positions a slot holds
  int64_t max_queue = 1024;       // requests waiting
  int64_t prefill_budget = 256;   // columns of prefill, padding included, between two decode steps
  std::vector<int64_t> columns;   // widths of prefill steps: ascending, at most the budget
  std::vector<int64_t> attended;  // context buckets: ascending, the last one is the context
  // The heads there are. Decode steps whose samples all want it use kArgmax, prefill only where
  // there is no kSample: one graph less for each width.
  bool argmax = true, sample = true;
  // One program for every chunk of a prompt and one for every other token, whatever else runs:
  // check() then wants one width, one bucket and one head.
  bool deterministic = false;
};
// What the defaults follow, of a device and a model on it.
struct StepLimits {
  int64_t columns = 256;          // of a prefill step
  bool attends_in_place = false;  // Target::attends_in_place
};
// Widths 16, 64, 256, 1024 and so on up to the widest, and context buckets from 256, doubling, or
// the context alone where steps attend in place; all cut to the context.
SchedulerOptions default_scheduler_options(int64_t slots, int64_t context,
                                           const StepLimits& limits = {});
// The same with two programs: the widest prefill step, the whole context, the head that can do all.
// Chunks begin at multiples of that width; a smaller budget is refused by check().
SchedulerOptions deterministic_options(SchedulerOptions options);
// The smallest bucket that holds `size`; the last one holds all there are.
int64_t bucket_of(const std::vector<int64_t>& buckets, int64_t size);
// Columns of the next chunk of a prompt of which `left` tokens are not fed yet.
int64_t chunk_of(const SchedulerOptions& options, int64_t left);
// kInvalidArgument names the option, what it wants and what came.
Status check(const SchedulerOptions& options);

struct SchedulerRequest {
  uint64_t id = 0;         // from 1; larger than those of all requests before
  int64_t prompt = 0;      // tokens, at least one, at most context - 1
  int64_t max_tokens = 0;  // of each answer, at least one
  int64_t choices = 1;     // answers to the prompt: it is prefilled once, then forked
  TimePoint deadline = TimePoint::max();      // ends it, waiting or running
  models::Head head = models::Head::kArgmax;  // or kSample
  bool chooser = false;     // its tokens are chosen behind the head (engine/chooser.h)
  int64_t host_tokens = 0;  // the first so many of each answer are chosen on the host
};

// One answer of a request.
struct SequenceId {
  uint64_t request = 0;
  int64_t choice = 0;
  auto operator<=>(const SequenceId&) const = default;
};

enum class EndReason {
  kStop,         // commit() was told so: an EOS token or a stop string
  kMaxTokens,    // max_tokens were sampled
  kContextFull,  // no position is left to feed the last token to
  kCancelled,
  kDeadline,
  kFailed,     // a step failed
  kNotFinite,  // a row of the request computed nothing to choose from
};
const char* to_string(EndReason reason);  // "stop", "max_tokens", "context_full" ...

// Row of a step. Idle rows have length 0 and no sequence.
struct StepRow {
  SequenceId sequence;
  int32_t slot = 0, start = 0, length = 0;
  bool prompt = false;  // feeds prompt tokens [start, start + length); else what it sampled last
};

// A token to sample from a row's last column. Several sequences sample from the last row of a
// prompt with several choices.
struct StepSample {
  SequenceId sequence;
  size_t row = 0;
  int32_t slot = 0;   // where the sequence lives: what it samples is fed there next
  int64_t index = 0;  // of the token in the answer, from 0
};

// Copy a slot's state; `positions` tokens of it are in use.
struct SlotFork {
  int32_t from = 0, to = 0;
  int64_t positions = 0;
};

struct StepPlan {
  int64_t number = 0;           // counts steps; commit() wants it back
  StepKey key;                  // key.attended is never 0
  std::vector<SlotFork> forks;  // to do before the step; `from` may also be fed by it
  std::vector<StepRow> rows;    // key.rows of them
  std::vector<StepSample> samples;
  bool chooser = false;  // the rows are chosen behind the head
};

struct EndedSequence {
  SequenceId sequence;
  EndReason reason = EndReason::kStop;
  int64_t tokens = 0;  // sampled and committed, an EOS included
};

struct RunningSequence {
  SequenceId sequence;
  int32_t slot = 0;     // negative: its last token is being computed, the slot is given back
  int64_t prompt = 0;   // tokens
  int64_t fed = 0;      // tokens in the slot, planned steps included
  int64_t sampled = 0;  // tokens of the answer, planned steps included
};

struct SchedulerStats {
  int64_t waiting = 0;  // requests in the queue
  int64_t running = 0;  // sequences admitted and not ended
  int64_t slots_in_use = 0;
  int64_t kv_positions = 0;  // tokens in the slots in use, planned steps included
  int64_t prefill_tokens = 0, generated_tokens = 0;  // since the start
  int64_t discarded_tokens = 0;  // sampled for a sequence that had ended: the price of overlap
};

// One thread, the step thread.
class Scheduler {
 public:
  // The options have passed check().
  explicit Scheduler(SchedulerOptions options);

  // kInvalidArgument: the request could never run. Any thread.
  static Status check(const SchedulerRequest& request, const SchedulerOptions& options);
  // kResourceExhausted: the queue is full; kInvalidArgument as check().
  Status submit(const SchedulerRequest& request);
  // Ends what of the request is still alive; false if nothing is.
  bool cancel(uint64_t request, EndReason reason = EndReason::kCancelled);
  // Ends what is past its deadline, admits, and gives the next step; nothing if there is none to
  // run until a commit() or submit(). The caller then runs it after all planned before.
  std::optional<StepPlan> plan(TimePoint now);
  // The tokens of the oldest step not committed yet are known, and those of `stopped` end their
  // sequences. kInvalidArgument, and nothing happens: not that step, or it sampled no such token.
  Status commit(int64_t step, std::span<const SequenceId> stopped = {});
  // A step or fork failed and took the state with it: everything running ends with kFailed, steps
  // not committed are forgotten, all slots are free. What waits keeps its place, or fails as well.
  void fail_all(bool waiting = false);

  // The sequences that run, in the order of admission.
  std::vector<RunningSequence> running() const;
  // Whether a sample of this sequence still counts.
  bool alive(SequenceId sequence) const { return find(sequence) != nullptr; }
  bool waits(uint64_t request) const;  // in the queue
  // Ends since the last call, each sequence once; a request that never ran ends all its choices.
  std::vector<EndedSequence> take_ended();
  // Nothing waits, runs or is to be committed.
  bool idle() const { return queue_.empty() && running_.empty() && in_flight_.empty(); }
  SchedulerStats stats() const;
  const SchedulerOptions& options() const { return options_; }
  // Every key that plan() may give, to be compiled ahead.
  std::vector<StepKey> keys() const;
  // kInternal: names the invariant that does not hold. For tests, after every step.
  Status check_integrity() const;

 private:
  static constexpr int32_t kNoSlot = -1;
  struct Sequence {
    SequenceId id;
    models::Head head = models::Head::kArgmax;
    bool chooser = false;
    int64_t host_tokens = 0;
    TimePoint deadline;
    int64_t prompt = 0, limit = 0;  // tokens; limit: of the answer
    EndReason limit_reason = EndReason::kMaxTokens;
    int32_t slot = kNoSlot;                       // none once its last token is planned
    int64_t fed = 0, sampled = 0, committed = 0;  // tokens; the first two by planned steps
    bool decodes() const { return slot != kNoSlot && sampled > 0; }
    // It has a token to feed: the device's, or one that the host has chosen by now.
    bool ready() const { return decodes() && (sampled == committed || sampled - 1 >= host_tokens); }
  };
  struct InFlight {
    int64_t step = 0;
    std::vector<StepSample> samples;
  };
  Sequence* find(SequenceId id);
  const Sequence* find(SequenceId id) const;
  void end(SequenceId id, EndReason reason);
  void end_waiting(const SchedulerRequest& request, EndReason reason);
  void end_overdue(TimePoint now);
  void release(Sequence& sequence);
  Sequence* next_prefill(bool decoding);
  Sequence& admit();
  std::vector<SlotFork> take_forks();
  void plan_prefill(Sequence& first, StepPlan& plan);
  void plan_decode(StepPlan& plan);
  void finish_key(StepPlan& plan) const;
  models::Head prefill_head() const {
    return options_.sample ? models::Head::kSample : models::Head::kArgmax;
  }

  SchedulerOptions options_;
  std::deque<SchedulerRequest> queue_;
  std::vector<Sequence> running_;     // in the order of admission
  std::vector<bool> slot_taken_;      // [B]
  std::vector<StepSample> unforked_;  // choices whose prompt lies in another choice's slot ...
  int32_t fork_from_ = kNoSlot;       // ... this one; copied by the very next plan
  std::deque<InFlight> in_flight_;
  std::vector<EndedSequence> ended_;
  int64_t budget_left_ = 0;  // columns of prefill until the next decode step
  int64_t next_step_ = 0;
  uint64_t last_id_ = 0;
  int64_t prefill_tokens_ = 0, generated_tokens_ = 0, discarded_tokens_ = 0;
};

}  // namespace continuo::engine
