// Stepper: runs a model's step graphs on an executor. It owns the state arrays of all slots,
// writes and compiles each graph once, and checks every index on the host before a step, because
// the device does not (docs/architecture.md).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/choose.h"
#include "engine/chooser.h"
#include "engine/compile_cache.h"
#include "engine/state_pool.h"
#include "engine/weights.h"
#include "models/model.h"
#include "runtime/executor.h"

namespace continuo::engine {

struct StepperOptions {
  int64_t slots = 1;
  int64_t context = 0;  // positions a slot holds
  int64_t limit = 0;    // StepShape::limit; 0 = context
  bool show_progress = false;
};

// Which graph runs a step.
struct StepKey {
  int64_t rows = 1, columns = 1;
  int64_t attended = 0;  // 0 = the whole context
  models::Head head = models::Head::kLast;
  bool uniform = false;  // StepShape::uniform
  auto operator<=>(const StepKey&) const = default;
};

// One step's input. Rows whose length is 0 are idle.
struct StepInput {
  std::vector<int32_t> tokens;               // [R,T]
  std::vector<int32_t> slot, start, length;  // [R]
  // For heads that choose tokens, [R] or empty:
  std::vector<uint8_t> feed;        // the row's first token is what its slot chose last
  std::vector<SampleRow> sampling;  // empty: greedy
  std::vector<ChoiceRow> choices;   // not empty: all rows are chosen by these, not by the head
  std::vector<size_t> logits_of;    // rows whose logits the host reads
};

// Perhaps still being computed: downloads wait.
struct StepOutput {
  runtime::BufferPtr head;    // of a head that chooses tokens: those, [R] i32
  runtime::BufferPtr logits;  // [R,V], with such a head; else null, or the only one of `rows`
  runtime::BufferPtr report;  // [R,W], where a row's choice wants one
  std::vector<runtime::BufferPtr> rows;  // [1,V] each, of StepInput::logits_of
};

// One thread. Executor, model, weights and cache outlive it.
class Stepper {
 public:
  Stepper(runtime::Executor& executor, const models::Model& model, const graph::Target& target,
          Weights& weights, CompileCache& cache, const StepperOptions& options);

  // Writes and compiles graphs, several at once, and loads the weights they want that are not there
  // yet. `on_compiled` hears on this thread how many are done.
  Status prepare(std::span<const StepKey> keys,
                 const std::function<void(int64_t done)>& on_compiled = {});
  Status prepare(const StepKey& key) { return prepare({&key, 1}); }
  // Runs each once with every row idle, which leaves no trace.
  Status warm_up(std::span<const StepKey> keys);
  // Runs one step, advancing the state. kInvalidArgument: an index out of range, nothing ran.
  // Another error: the step may have consumed the state; state_lost() is then true and reset() must
  // follow.
  Result<StepOutput> run(const StepKey& key, const StepInput& input);
  // Graphs that StepInput::choices and logits_of want, for steps of `rows` rows.
  Status prepare_choices(int64_t rows) { return chooser_.prepare(rows); }
  Status set_line(int32_t slot, const SlotLine& line);
  int64_t choice_bytes() const { return chooser_.bytes(); }
  bool state_lost() const { return state_.lost(); }
  // All slots empty, state arrays zero.
  Status reset();

  const StepperOptions& options() const { return options_; }
  const models::Model& model() const { return model_; }
  const graph::Target& target() const { return target_; }
  // The slots' state: snapshot, restore, fork, clear. Allocated by the first prepare() or run().
  StatePool& state() { return state_; }

 private:
  // Which buffer an argument behind the input (and `last`) is: state_[index], or the graph's
  // weight.
  struct Source {
    bool is_state = false;
    size_t index = 0;
  };
  struct Compiled {
    runtime::ProgramPtr program;
    std::vector<runtime::Buffer*> weights;
    std::vector<Source> order;
  };
  Status check(const StepKey& key, const StepInput& input) const;
  Status check_tokens(const StepKey& key, const StepInput& input) const;
  Result<models::StepGraph> write(const StepKey& key) const;
  Status adopt(const StepKey& key, const models::StepGraph& step, runtime::ProgramPtr program);
  Result<runtime::BufferPtr> upload(const StepKey& key, const StepInput& input);
  Status choose(const StepInput& input, StepOutput& output);

  runtime::Executor& executor_;
  const models::Model& model_;
  graph::Target target_;
  Weights& weights_;
  CompileCache& cache_;
  StepperOptions options_;
  std::map<StepKey, Compiled> programs_;
  StatePool state_;
  Chooser chooser_;
  runtime::BufferPtr last_;      // [B] i32, what each slot chose last
  std::vector<int32_t> packed_;  // [R, T + kRowFields], of the step being launched
};

}  // namespace continuo::engine
