// What changes logits by an answer's history: logit bias, penalties and DRY.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/sampling_params.h"

namespace continuo::engine {

// Remembers the history of one answer. One thread.
class Penalties {
 public:
  // Tokens outside [0, vocab) count for DRY alone.
  Penalties(SamplingParams params, std::span<const int32_t> prompt, int64_t vocab);
  void accept(int32_t token);
  // Whether apply() can change anything.
  bool any() const;
  // logits:[vocab]: adds the bias, then repetition (Keskar et al. 2019, as Hugging Face's
  // generate), frequency and presence (OpenAI), then DRY.
  void apply(std::span<float> logits) const;
  const SamplingParams& params() const { return params_; }

 private:
  void count(int32_t token, int64_t times);
  SamplingParams params_;
  int64_t vocab_;
  std::unordered_map<int32_t, int64_t> times_;  // in the answer; 0 = in the prompt only
  std::vector<int32_t> history_;                // prompt and answer, where DRY wants it
};

// What DRY takes from the logits of tokens that would prolong a repetition: (token, penalty), in
// the order of the tokens. DRY: p-e-w, text-generation-webui #5677; semantics of llama.cpp's
// sampler with breakers of one token each: no repetition reaches across a breaker, a breaker itself
// is never penalised, base^n is clamped to what float32 holds.
std::vector<std::pair<int32_t, float>> dry_penalties(const SamplingParams& params,
                                                     std::span<const int32_t> history);

}  // namespace continuo::engine
