// Chooser: chooses the tokens of a step again where a row wants more than its graph's head knows:
// penalties, a bias, tokens that may not come, log probabilities. It is a program of its own behind
// the step's, on the logits that the step leaves on the device, so that no step's graph has to
// exist twice, and steps that nobody asks this of pay nothing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "engine/choose.h"
#include "engine/compile_cache.h"
#include "ops/penalise.h"
#include "runtime/executor.h"

namespace continuo::engine {

// How many likeliest tokens the device can name.
constexpr int64_t kMostLikeliest = 20;

// What the device knows of a slot's answer: a word (ops::Mark) and a bias for each token id.
struct SlotLine {
  std::vector<int32_t> marks;  // [V]
  std::vector<float> bias;     // [V]
};

// One row's choice. The default is greedy, without any of it.
struct ChoiceRow {
  SampleRow sampling;
  bool penalised = false;  // the slot has a line of its own; its token is counted there
  float repetition = 1, frequency = 0, presence = 0;
  bool unfinished = false;  // no token that ends the answer may come yet
  int32_t report = -1;      // log probabilities of so many tokens and the chosen one; -1 = none
};

// Owned by Stepper; one thread. Executor and cache outlive it.
class Chooser {
 public:
  Chooser(runtime::Executor& executor, CompileCache& cache, int64_t slots, int64_t vocab)
      : executor_(executor), cache_(cache), slots_(slots), vocab_(vocab) {}

  // Compiles for steps of `rows` rows, and allocates. kUnsupported: too many slots or tokens.
  Status prepare(int64_t rows);
  // Writes a slot's line, after every step launched before.
  Status set_line(int32_t slot, const SlotLine& line);

  struct Step {
    runtime::Buffer* tokens = nullptr;  // [R] i32, as the step's head chose them
    runtime::Buffer* logits = nullptr;  // [R,V]
    runtime::Buffer* last = nullptr;    // [B] i32; consumed
    std::span<const int32_t> slot, length;
    std::span<const ChoiceRow> choices;
  };
  struct Chosen {
    runtime::BufferPtr tokens, last;
    runtime::BufferPtr report;  // [R, report_width(V)] i32
  };
  // A row whose step's head gave no token (negative) keeps that.
  Result<Chosen> choose(const Step& step);
  // Row `row` of logits:[R,V], as [1,V].
  Result<runtime::BufferPtr> take_row(runtime::Buffer& logits, int64_t row);

  // After a failure: the arrays anew.
  void reset();
  int64_t bytes() const;

 private:
  // The likeliest tokens of a report.
  int64_t most() const { return std::min(kMostLikeliest, vocab_); }
  std::string write(int64_t rows) const;
  std::string write_set() const;
  std::string write_take(int64_t rows) const;
  Status allocate();
  Result<runtime::BufferPtr> upload(const Step& step);

  runtime::Executor& executor_;
  CompileCache& cache_;
  int64_t slots_, vocab_;
  runtime::BufferPtr marks_, bias_;  // [B,V]
  std::map<int64_t, runtime::ProgramPtr> programs_,
      rows_;  // by the number of rows
  runtime::ProgramPtr set_;
  std::vector<int32_t> packed_;
};

// The lines that reports of `vocab` tokens have.
constexpr int64_t report_width(int64_t vocab) {
  return ops::report_width(std::min(kMostLikeliest, vocab));
}

}  // namespace continuo::engine
