// For the scheduler's simulation: a model whose tokens tell whether a history was fed right, and a
// device that keeps one history a slot.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "engine/scheduler.h"

namespace continuo::engine {

// An invariant that does not hold ends its world.
template <typename... Args>
void require(bool holds, fmt::format_string<Args...> format, Args&&... args) {
  if (!holds) throw std::runtime_error(fmt::format(format, std::forward<Args>(args)...));
}
inline void require(const Status& status) { require(status.ok(), "{}", status.error().message); }

// --- the fake model: a token depends on all tokens before it, in order, and on the choice ---

inline uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
  return hash ^ (hash >> 29);
}
inline uint64_t prompt_token(uint64_t request, int64_t position) {
  return mix(mix(1, request), uint64_t(position));
}
struct History {
  int64_t size = 0;
  uint64_t hash = 0;
  void feed(uint64_t token) { ++size, hash = mix(hash, token); }
  uint64_t next(int64_t choice) const { return mix(hash, uint64_t(choice)) >> 11; }
};
inline bool is_eos(uint64_t token) { return token % 16 == 0; }

using Tokens = std::vector<uint64_t>;
struct FakeAnswer {
  Tokens tokens;  // an EOS included
  EndReason reason = EndReason::kStop;
};
// What the sequence gives when nothing else runs.
inline FakeAnswer alone(const SchedulerRequest& request, int64_t choice, int64_t context) {
  History history;
  for (int64_t i = 0; i < request.prompt; ++i) history.feed(prompt_token(request.id, i));
  FakeAnswer answer;
  while (true) {
    const uint64_t token = history.next(choice);
    answer.tokens.push_back(token);
    answer.reason = EndReason::kStop;
    if (is_eos(token)) return answer;
    answer.reason = EndReason::kMaxTokens;
    if (int64_t(answer.tokens.size()) == request.max_tokens) return answer;
    answer.reason = EndReason::kContextFull;
    if (history.size == context) return answer;
    history.feed(token);
  }
}

// --- the fake device: runs steps as they are launched ---

class FakeDevice {
 public:
  explicit FakeDevice(int64_t slots) : slots_(size_t(slots)) {}

  // A token for each of the plan's samples.
  Tokens run(const StepPlan& plan) {
    for (const SlotFork& fork : plan.forks) {
      require(fork.from != fork.to && at(fork.from).fed.size == fork.positions,
              "fork of {} positions of {} fed", fork.positions, at(fork.from).fed.size);
      at(fork.to).fed = at(fork.from).fed;
      at(fork.to).request = at(fork.from).request;
    }
    for (const StepRow& row : plan.rows)
      if (row.length > 0) feed(row);
    Tokens tokens;
    for (const StepSample& sample : plan.samples) {
      tokens.push_back(at(plan.rows.at(sample.row).slot).fed.next(sample.sequence.choice));
      at(sample.slot).last = tokens.back();
    }
    return tokens;
  }
  void lose_state() { slots_.assign(slots_.size(), {}); }

 private:
  struct Slot {
    uint64_t request = 0;
    History fed;
    uint64_t last = 0;  // what was sampled last for the sequence here
  };
  Slot& at(int32_t slot) { return slots_.at(size_t(slot)); }
  void feed(const StepRow& row) {
    Slot& slot = at(row.slot);
    if (row.start == 0) slot = {row.sequence.request};
    require(slot.request == row.sequence.request, "request {} in slot {} of request {}",
            row.sequence.request, row.slot, slot.request);
    require(slot.fed.size == row.start, "slot {}: start {}, but it was fed {}", row.slot, row.start,
            slot.fed.size);
    for (int32_t i = 0; i < row.length; ++i)
      slot.fed.feed(row.prompt ? prompt_token(row.sequence.request, row.start + i) : slot.last);
  }

  std::vector<Slot> slots_;
};

}  // namespace continuo::engine
