// Engine: serves many sequences at once over one model, every row at its own position. Its one step
// thread goes admit -> plan -> run -> sample -> publish; everybody else talks to it through
// submit(), cancel(), drain() and stats(), which any thread may call.
//
// The next step is launched before the tokens of the last one are read: what a row samples is fed
// on the device. Where a token has to be chosen on the host (DRY, bad words of several tokens, the
// first tokens of several choices) its row sits out the next step, which the others take; only that
// row's logits are read. `overlap = false` is the serial loop; both give the same tokens, as far as
// other steps give the same bits (docs/determinism.md).
//
// Failures: a failed step has consumed the state, so everything that runs ends with
// FinishReason::kError, the state is made anew and the queue continues. An exception (no memory,
// say) ends the request that it can be blamed on; else it is a failed step.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/request.h"

namespace continuo::text {
class Tokenizer;
}

namespace continuo::engine {

struct LoadedModel;
class StepRunner;

// What the loop must know of a model, for an engine over a runner of one's own (tests).
struct EngineParts {
  std::unique_ptr<StepRunner> runner;
  const text::Tokenizer* tokenizer = nullptr;
  std::vector<int32_t> eos_ids;
  int64_t vocab = 0;
};

struct EngineOptions {
  int64_t slots = 8;              // sequences at once
  int64_t context = 0;            // positions a sequence may have; 0 = the model's, at most 4096
  int64_t max_queue = 1024;       // requests waiting
  int64_t prefill_budget = 0;     // columns of prefill between two decode steps; 0 = one chunk
  int64_t prefill_columns = 0;    // of the widest prefill step; 0 = what suits the device
  std::vector<int64_t> columns;   // widths of prefill steps; empty = 16, 64, ... to the widest
  std::vector<int64_t> attended;  // context buckets; empty = as default_scheduler_options
  bool overlap = true;
  // The same request gives the same bits, tokens and log probabilities, whatever else runs
  // (docs/determinism.md): every prefill step is as wide as the widest, every step attends over the
  // whole context, and greedy steps have no graph of their own.
  bool deterministic = false;
  // Which graphs there are: decode steps that are all greedy have their own; without graphs that
  // sample, sampled tokens are chosen on the host. At least one of them; greedy ones alone where
  // the target has no others (Target::samples).
  bool greedy_graphs = true, sampling_graphs = true;
  bool compile_ahead = true;   // all that serving needs, at the start; false: when first needed
  bool show_progress = false;  // of loading, on stderr
  // Start-up, on the thread that creates the engine: "weights" or "compile", `done` of `total`.
  std::function<void(const std::string& stage, int64_t done, int64_t total)> on_progress;
  // After each step, on the step thread: for metrics.
  struct StepRecord {
    bool prefill = false;
    int64_t tokens = 0;  // fed: prompt tokens of a prefill, rows of a decode step
    double seconds = 0;  // since the step before was read, or since its own launch if later
  };
  std::function<void(const StepRecord&)> on_step;
  // A step that takes longer hangs, unless it is slow by nature (StepClock); 0 = no limit. What
  // compiles, loads or sets up is no step.
  double step_timeout_s = 120;
  // On the watchdog's thread, once, before the requests are told: a hanging engine answers them all
  // with kError, takes no more and never recovers; its process should end. Quick; must not throw.
  std::function<void(const std::string& what)> on_hang;
};

// The positions a slot must hold for a prompt and an answer of these lengths: a power of two, so
// that few graphs serve all lengths, but no more than the model has (0: no limit).
int64_t context_for(int64_t prompt, int64_t max_tokens, int64_t model_positions);

struct SlotStats {
  uint64_t request = 0;  // 0: the slot is free
  int64_t choice = 0;
  bool prefilling = false;
  int64_t prompt_tokens = 0;
  int64_t position = 0;   // tokens in the slot
  int64_t generated = 0;  // tokens of the answer so far
  double seconds = 0;     // since it was admitted
};

enum class Health {
  kOk,
  kFailing,  // the last steps all failed, or the state cannot be made anew; one that works ends it
  kHung,     // a step does not end; for ever
};

// A consistent picture taken between two steps.
struct EngineStats {
  Health health = Health::kOk;  // of now
  int64_t slots = 0, context = 0;
  int64_t waiting = 0;                        // requests in the queue
  int64_t running = 0;                        // sequences admitted and not ended
  std::vector<SlotStats> slot;                // [slots]
  int64_t kv_positions = 0, kv_capacity = 0;  // tokens in use, slots * context; 0 without KV
  int64_t kv_bytes_per_token = 0;             // 0: the model has no attention layer
  int64_t recurrent_bytes_per_slot = 0;       // 0: the model has no recurrent layer
  int64_t state_bytes = 0, weight_bytes = 0;  // on the device
  // Since the start:
  int64_t prompt_tokens = 0, generated_tokens = 0;
  int64_t discarded_tokens = 0;  // sampled for a sequence that had ended: the price of overlap
  int64_t steps = 0, prefill_steps = 0, failed_steps = 0;
  int64_t not_finite = 0;            // requests ended with kNotFinite
  int64_t compiled = 0, loaded = 0;  // executables built, and read from the cache
  double compile_seconds = 0;
};

class Engine {
 public:
  // Compiles, allocates and starts the step thread. `model` outlives the engine; so does
  // `tokenizer`, which may be null: then requests have no text and no stop strings.
  static Result<std::unique_ptr<Engine>> create(LoadedModel& model,
                                                const text::Tokenizer* tokenizer,
                                                const EngineOptions& options);
  static Result<std::unique_ptr<Engine>> create(EngineParts parts, const EngineOptions& options);
  // Cancels what is left and joins the step thread; see stop().
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // The request's id, from 1. Events may come before this returns. kInvalidArgument: it could never
  // run (names the field); kResourceExhausted: the queue or memory is full; kUnavailable: draining.
  Result<uint64_t> submit(Request request);
  // Ends what is still alive of a request; its events say kCancelled. An unknown id does nothing.
  void cancel(uint64_t request);
  // Takes no more requests, waits until all have ended or until `limit`, then cancels the rest and
  // waits for their ends, which come even where a step hangs. Returns whether all ended by
  // themselves.
  bool drain(TimePoint limit);
  // Ends everything and waits for the step thread to go, until `limit`; false if it does not come
  // back from the device. The engine can then not be destroyed: end the process.
  bool stop(TimePoint limit);
  EngineStats stats() const;
  const EngineOptions& options() const;  // as they are in force: no zeros, no empty lists
  // Tokens that end an answer unless a request ignores them.
  const std::vector<int32_t>& eos_ids() const;

  class Impl;  // engine_impl.h

 private:
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace continuo::engine
