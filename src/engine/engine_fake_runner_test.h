// For the engine's tests: a device that is a hash. What a slot was fed decides its next token, so
// that a wrong order, slot or feed shows as a wrong answer.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/scheduler_fake_device_test.h"
#include "engine/step_runner.h"

namespace continuo::engine {

constexpr int32_t kFakeVocab = 97, kFakeEos = 3;

inline int32_t fake_token(const History& history) {
  return static_cast<int32_t>((history.hash >> 7) % kFakeVocab);
}

// Greedy tokens of a prompt when nothing else runs; the EOS included.
inline std::vector<int32_t> fake_answer(const std::vector<int32_t>& prompt, int64_t max_tokens,
                                        int64_t context) {
  History history;
  for (const int32_t token : prompt) history.feed(uint64_t(token));
  std::vector<int32_t> answer;
  while (true) {
    answer.push_back(fake_token(history));
    if (answer.back() == kFakeEos || int64_t(answer.size()) == max_tokens ||
        history.size == context)
      return answer;
    history.feed(uint64_t(answer.back()));
  }
}

class FakeRunner final : public StepRunner {
 public:
  explicit FakeRunner(int64_t slots) : slots_(size_t(slots)), last_(size_t(slots)) {}

  Status prepare(std::span<const StepKey> keys,
                 const std::function<void(const std::string&, int64_t, int64_t)>&) override {
    keys_prepared = keys.size();
    return ok_status();
  }
  bool prepared(const StepKey&) const override { return true; }
  Status fork(const SlotFork& fork) override {
    call("fork");
    slots_.at(size_t(fork.to)) = slots_.at(size_t(fork.from));
    return ok_status();
  }
  Status set_line(int32_t slot, const SlotLine& line) override {
    ++lines;
    if (size_t(slot) >= slots_.size() || line.marks.size() != size_t(kFakeVocab)) order_errors++;
    return ok_status();
  }
  Status launch(const StepKey& key, const StepInput& input) override {
    call("launch");
    log("launch " + std::to_string(launches_));
    chooser_steps += !input.choices.empty();
    host_rows += int(input.logits_of.size());
    rows_of_launches_.push_back({});
    for (size_t r = 0; r < input.length.size(); ++r)
      if (input.length[r] > 0 && key.columns == 1) rows_of_launches_.back().insert(input.slot[r]);
    if (++launches_ == fail_launch) return error(ErrorCode::kUnavailable, "no launch");
    std::vector<int32_t> tokens(size_t(key.rows), -1);
    for (size_t r = 0; r < tokens.size(); ++r) {
      const size_t slot = size_t(input.slot[r]);
      if (input.length[r] == 0) continue;
      if (input.start[r] == 0) slots_.at(slot) = {};
      if (slots_.at(slot).size != input.start[r]) order_errors++;
      for (int32_t i = 0; i < input.length[r]; ++i) {
        const bool fed = i == 0 && input.feed[r] != 0;
        slots_[slot].feed(
            uint64_t(fed ? last_.at(slot) : input.tokens[r * size_t(key.columns) + size_t(i)]));
      }
      tokens[r] = last_[slot] = fake_token(slots_[slot]);
      for (int32_t i = 0; i < input.length[r]; ++i)
        if (input.feed[r] == 0 && input.tokens[r * size_t(key.columns) + size_t(i)] == spoils)
          tokens[r] = -1;
    }
    launched_.push_back({tokens, input.choices.size(), input.logits_of});
    return ok_status();
  }
  Result<StepResult> collect() override {
    call("collect");
    log("collect " + std::to_string(collects_));
    if (++collects_ == fail_collect) return error(ErrorCode::kUnavailable, "the device is gone");
    const Launched step = launched_.front();
    launched_.pop_front();
    StepResult result{step.tokens, {}, {}};
    result.logits.resize(result.tokens.size());
    for (const size_t row : step.logits_of) {
      result.logits[row].assign(kFakeVocab, 0);
      if (result.tokens[row] >= 0) result.logits[row][size_t(result.tokens[row])] = 9;
    }
    if (step.choices > 0) result.report.assign(step.choices * size_t(report_width(kFakeVocab)), 1);
    return result;
  }
  Status reset() override {
    call("reset");
    log("reset");
    ++resets;
    launched_.clear();
    for (auto& slot : slots_) slot = {};
    if (failing_resets == 0) return ok_status();
    --failing_resets;
    return error(ErrorCode::kResourceExhausted, "no memory");
  }

  std::vector<std::string> events() const {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  std::atomic<int> fail_launch{0}, fail_collect{0}, failing_resets{0};  // which one, from 1
  // A prompt's token for which the row computes nothing to choose from.
  std::atomic<int32_t> spoils{-1};
  std::atomic<int> resets{0}, order_errors{0};
  // Hears each call on the step thread before it acts; may throw or wait. Set before submitting.
  std::function<void(const std::string& call)> on_call;
  std::atomic<size_t> keys_prepared{0};
  std::atomic<int> lines{0}, chooser_steps{0}, host_rows{0};
  // The slots in each decode step, by launch; once nothing runs.
  const std::vector<std::set<int32_t>>& rows_of_launches() const { return rows_of_launches_; }

 private:
  void call(const char* name) const {
    if (on_call) on_call(name);
  }
  void log(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  std::vector<History> slots_;
  std::vector<int32_t> last_;
  struct Launched {
    std::vector<int32_t> tokens;
    size_t choices;
    std::vector<size_t> logits_of;
  };
  std::deque<Launched> launched_;
  std::vector<std::set<int32_t>> rows_of_launches_;
  int launches_ = 0, collects_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> events_;
};

}  // namespace continuo::engine
