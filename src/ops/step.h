// Step: the graph step[R,T] of one model while it is written.
//
//   (input[R,T+F], weights..., state...) -> (head, state'...)
//   (input[R,T+F], last[B], weights..., state...) -> (tokens[R], logits[R,V], last'[B], state'...)
//
// Row r advances the sequence in slot[r] from position start[r] by length[r] tokens; columns past
// length[r] are padding and leave no trace. What the host says of a row is one line of `input`, so
// that a step costs one upload: T tokens, then the fields of RowField. Heads that choose tokens
// (the second form) keep each slot's newest token in `last`, from where a row may take its first
// one: the next step can be launched before the host has read this one's tokens. Weights and state
// are declared by being used: the caller reads afterwards what the graph wants.
//
// Symbols, here and in every op: R rows, T columns, B slots, S positions a slot holds, C positions
// attended (a context bucket, C <= S), H hidden size, Hq/Hk query and key heads, D head size,
// E experts, V vocabulary.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/contract.h"
#include "graph/control.h"
#include "graph/elementwise.h"
#include "graph/graph.h"
#include "graph/indexing.h"
#include "graph/reduce.h"
#include "graph/shaping.h"
#include "graph/target.h"

namespace continuo::ops {

using namespace graph;  // ops are written in the graph's vocabulary

enum class Head {
  kLast,    // [R,V] logits of each row's last valid column
  kAll,     // [R,T,V]
  kArgmax,  // [R] i32, greedy token of the last valid column, and its logits [R,V]
  kSample,  // the same, chosen as each row's sampling fields say (ops/sample.h)
  kLayers,  // [L+1,R,H]: the last valid column's embedding, after each layer; the last one normed
};

// The token of a row that computed nothing to choose from: logits that are not numbers, or all
// -inf.
inline constexpr int32_t kNoToken = -1;

// Whether the head chooses tokens: its graph has `last`, and logits as a second output.
constexpr bool chooses_tokens(Head head) { return head == Head::kArgmax || head == Head::kSample; }

// Where a row's line of `input` has what, behind its T tokens. Floats and keys are there bit by
// bit.
enum RowField : int64_t {
  kSlotField,
  kStartField,
  kLengthField,
  kFeedField,  // 1: the first token is last[slot], not the one in the line
  kTemperatureField,
  kTopKField,
  kTopPField,
  kMinPField,
  kKeyField,  // two words
  kRowFields = kKeyField + 2,
};

struct StepShape {
  int64_t rows = 1, columns = 1;
  int64_t slots = 1;     // rows == slots: row r is slot r, in place
  int64_t context = 0;   // S
  int64_t attended = 0;  // C; 0 = S. Host: start[r] + length[r] <= C
  int64_t limit = 0;     // the longest sequence served, 0 = S: chooses longrope's factors
  Head head = Head::kLast;
  // Only to measure what raggedness costs: every row is at row 0's position, and rows == slots
  // write their keys and values at once.
  bool uniform = false;
};

// A weight on the device and where it comes from.
struct WeightSpec {
  std::string name;  // of the graph's argument
  DType dtype = DType::kF32;
  Shape shape;                       // on the device
  std::vector<std::string> sources;  // checkpoint tensors; several are stacked on a new first axis
  Shape source_shape;                // of each source
  bool transpose = false;            // swap each source's last two axes
};

enum class StateKind { kKv, kRecurrent };
struct StateSpec {
  std::string name;
  StateKind kind = StateKind::kKv;
  DType dtype = DType::kF32;
  Shape shape;            // of one slot; the array has [B, ...]
  int64_t positions = 0;  // kKv: S, so bytes a token = bytes / positions
};

// Cosines and sines of one rotary embedding at this step's positions.
struct RopeTable {
  Value cos, sin;  // [R,T,dims/2] float32
  bool interleaved = false;
  int64_t dims = 0;
};

// Lives while one graph is written; one thread.
class Step {
 public:
  using HasTensor = std::function<bool(const std::string&)>;
  Step(const StepShape& shape, const Target& target, HasTensor has, int64_t vocab);

  Graph& graph() { return *graph_; }
  std::unique_ptr<Graph> take_graph() { return std::move(graph_); }
  const StepShape& shape() const { return shape_; }
  const Target& target() const { return target_; }
  int64_t rows() const { return shape_.rows; }
  int64_t columns() const { return shape_.columns; }
  bool in_place() const { return shape_.rows == shape_.slots; }

  // --- inputs ---
  Value tokens() const { return tokens_; }        // [R,T] i32
  Value slot() const { return slot_; }            // [R] i32
  Value start() const { return start_; }          // [R] i32
  Value length() const { return length_; }        // [R] i32
  Value positions() const { return positions_; }  // [R,T] i32: start + column
  Value valid() const { return valid_; }          // [R,T] i1: column < length
  Value active() const { return active_; }        // [R] i1: length > 0
  Value fresh() const { return fresh_; }          // [R] i1: start == 0
  Value field(RowField which) const;              // [R] i32, of the input
  // x:[R,T,...] with 0 under padding columns, for what a recurrence gives the weight 0 there: 0 x
  // NaN is NaN. With one column padding is an idle row, whose state is kept by a select.
  Value without_padding(Value x);
  // x:[R,T,H] -> [R] i1: every element of the valid columns is finite.
  Value finite_rows(Value x);
  // x:[R,T,...] -> [R,...] at each row's last valid column (column 0 of an idle row).
  Value last_column(Value x);

  // --- weights ---
  bool has(const std::string& tensor) const { return has_(tensor); }
  // A tensor as it is, float32 unless it is a large one (Target::weights).
  Value weight(const std::string& tensor, Shape shape, DType dtype = DType::kF32);
  Value weight(const WeightSpec& spec);
  const std::vector<WeightSpec>& weights() const { return weights_; }

  // --- state ---
  // Puts x:[R,T,Hk,D] at this step's positions of the KV array `name`, and returns what the rows
  // attend over: [R,Hk,C,D].
  Value append_kv(const std::string& name, Value x);
  // The same, and returns the array itself, all slots and positions: [B,Hk,S,D].
  Value write_kv(const std::string& name, Value x);
  // Recurrent state of the rows, zero where a sequence starts: [R, shape...] float32.
  Value load_state(const std::string& name, const Shape& shape);
  // Its next value; idle rows keep the old one, bit for bit.
  void store_state(const std::string& name, Value next);
  const std::vector<StateSpec>& state() const { return state_specs_; }

  // --- what several layers share ---
  RopeTable& rope_table(const std::string& key, const std::function<RopeTable()>& make);
  // [R,T,C] i1: key s is seen by column t iff s <= position, and s > position - window if > 0.
  Value key_mask(int64_t window);
  // Values that a family hands from one layer to later ones.
  std::map<std::string, Value> shared;

  // Writes the outputs: head first, then every state array, donated. Called once, at the end.
  void finish(Value head);
  // The same for heads that choose tokens: tokens:[R] i32, logits:[R,V].
  void finish(Value tokens, Value logits);

 private:
  struct StateArray {
    int argument = -1;
    Value current;           // [B, ...], the newest version
    Value before;            // recurrent: [R, ...] as read from the array
    bool rewritten = false;  // `current` is new as a whole
  };
  StateArray& declare_state(StateSpec spec);
  Value fed_tokens();
  Value next_last(Value tokens);
  void output_state();
  Value write_columns(Value array, Value x, int64_t row);
  Value scatter_kv(Value array, Value x);
  Value row_slot(int64_t row);
  Value scalar(Value vector, int64_t row);

  StepShape shape_;
  Target target_;
  HasTensor has_;
  std::unique_ptr<Graph> graph_;
  Value input_, last_, tokens_, slot_, start_, length_, positions_, valid_, active_, fresh_;
  std::vector<WeightSpec> weights_;
  std::map<std::string, Value> weight_values_;
  std::vector<StateSpec> state_specs_;
  std::map<std::string, StateArray> state_;
  std::map<std::string, RopeTable> rope_tables_;
  std::map<int64_t, Value> masks_;
};

}  // namespace continuo::ops
