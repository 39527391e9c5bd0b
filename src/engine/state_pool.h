// StatePool: the state arrays of all slots, and the four operations that everything above is made
// of: snapshot, restore, fork, clear. All of them run on the device; a snapshot may live there or
// on the host. KV is copied in whole context buckets, recurrent state whole.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/compile_cache.h"
#include "ops/step.h"
#include "runtime/executor.h"

namespace continuo::engine {

// The state of one sequence after `positions` tokens. Owned by whoever took it; freed with it.
struct Snapshot {
  int64_t positions = 0;
  int64_t bucket = 0;                      // KV positions kept, >= positions
  std::vector<runtime::BufferPtr> device;  // one an array, [1, ...]; or empty
  std::vector<HostTensor> host;            // the same on the host; or empty
  int64_t bytes() const;
};

enum class SnapshotPlace { kDevice, kHost };

// One thread, the step thread. Executor and cache outlive it.
class StatePool {
 public:
  StatePool(runtime::Executor& executor, CompileCache& cache, int64_t slots, int64_t context);

  // Allocates zeroed arrays for `specs`, dropping those of before. Called by the Stepper.
  Status allocate(std::vector<ops::StateSpec> specs);
  // A failed step or operation took the arrays with it; allocate() must follow.
  bool lost() const { return lost_; }
  void mark_lost() { lost_ = true; }
  const std::vector<ops::StateSpec>& specs() const { return specs_; }
  // The arrays [B, ...], by StateSpec order: a step takes them and puts back their next versions.
  std::vector<runtime::BufferPtr>& arrays() { return arrays_; }

  // `positions`: how many tokens the slot's sequence has.
  Result<Snapshot> snapshot(int64_t slot, int64_t positions, SnapshotPlace place);
  // The slot then continues from snapshot.positions. kInvalidArgument: of another model or context.
  Status restore(int64_t slot, const Snapshot& snapshot);
  // Slot `to` becomes a copy of `from`, whose sequence has `positions` tokens.
  Status fork(int64_t from, int64_t to, int64_t positions);
  // Compiles what fork() may run.
  Status prepare_forks();
  // Fills the slot with `value`: 0, or a poison in tests. A new sequence needs no clear(): its keys
  // are masked and its recurrent state is taken as zero.
  Status clear(int64_t slot, float value = 0);

  // The bucket that covers `positions`: a power of two from 64, at most the context. Without KV
  // there is one.
  int64_t bucket(int64_t positions) const;
  int64_t bytes_per_slot() const;

 private:
  enum class Operation { kTake, kPut, kCopy, kFill };
  Status check_slot(int64_t slot) const;
  // The compiled form of an operation on all arrays, its KV part cut to `bucket` positions.
  Result<runtime::Program*> program(Operation operation, int64_t bucket);
  std::string write(Operation operation, int64_t bucket) const;
  // Runs one that donates all arrays and puts the results back.
  Status run(Operation operation, int64_t bucket, const std::vector<runtime::Buffer*>& inputs);

  runtime::Executor& executor_;
  CompileCache& cache_;
  int64_t slots_, context_;
  std::vector<ops::StateSpec> specs_;
  std::vector<runtime::BufferPtr> arrays_;
  bool lost_ = false;
  std::map<std::pair<Operation, int64_t>, runtime::ProgramPtr> programs_;
};

}  // namespace continuo::engine
