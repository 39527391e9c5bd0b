// DRY ("don't repeat yourself"): p-e-w, text-generation-webui #5677; semantics of llama.cpp's
// sampler with breakers of one token each: no repetition reaches across a breaker, a breaker itself
// is never penalised, base^n is clamped to what float32 holds.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/sampling_params.h"

namespace continuo::engine {

// The repetitions that end one answer's history, kept from token to token. A token costs as much as
// it has earlier places, of which the newest kMostPlaces are looked at. One thread.
class Dry {
 public:
  static constexpr size_t kMostPlaces = 4096;

  Dry(const SamplingParams& params, std::span<const int32_t> history);
  void accept(int32_t token);
  // What the logits of tokens that would prolong a repetition lose, in the order of the tokens.
  std::vector<std::pair<int32_t, float>> penalties() const;

 private:
  // The `length` tokens before `place` are also the newest tokens of the history.
  struct Repetition {
    int64_t place, length;
  };
  bool breaks(int32_t token) const {
    return token >= 0 && static_cast<size_t>(token) < breaks_.size() &&
           breaks_[static_cast<size_t>(token)];
  }
  int64_t size() const { return static_cast<int64_t>(history_.size()); }
  int64_t window_start() const;
  void find_repetitions();

  double multiplier_, base_;
  int64_t allowed_length_, last_n_;
  std::vector<bool> breaks_;  // by token id
  std::vector<int32_t> history_;
  std::unordered_map<int32_t, std::vector<int64_t>> places_;  // of each token, ascending
  std::vector<Repetition> repetitions_;                       // the latest place first
  int64_t unbroken_ = 0;                                      // tokens since the last breaker
};

}  // namespace continuo::engine
