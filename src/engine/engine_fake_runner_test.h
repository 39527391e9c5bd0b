// For the engine's tests: a device that is a hash. What a slot was fed decides its next token, so
// that a wrong order, slot or feed shows as a wrong answer.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
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
    prepared = keys.size();
    return ok_status();
  }
  Status fork(const SlotFork& fork) override {
    slots_.at(size_t(fork.to)) = slots_.at(size_t(fork.from));
    return ok_status();
  }
  Status launch(const StepKey& key, const StepInput& input) override {
    log("launch " + std::to_string(launches_));
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
    }
    launched_.push_back(tokens);
    return ok_status();
  }
  Result<StepResult> collect(bool want_logits) override {
    log("collect " + std::to_string(collects_));
    if (++collects_ == fail_collect) return error(ErrorCode::kUnavailable, "the device is gone");
    StepResult result{launched_.front(), {}};
    launched_.pop_front();
    if (!want_logits) return result;
    result.logits.assign(result.tokens.size() * kFakeVocab, 0);
    for (size_t r = 0; r < result.tokens.size(); ++r)
      if (result.tokens[r] >= 0) result.logits[r * kFakeVocab + size_t(result.tokens[r])] = 9;
    return result;
  }
  Status reset() override {
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
  std::atomic<int> resets{0}, order_errors{0};
  std::atomic<size_t> prepared{0};

 private:
  void log(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  std::vector<History> slots_;
  std::vector<int32_t> last_;
  std::deque<std::vector<int32_t>> launched_;
  int launches_ = 0, collects_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> events_;
};

}  // namespace continuo::engine
