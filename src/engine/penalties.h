// What changes logits by an answer's history: logit bias, penalties and DRY.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>

#include "engine/dry.h"
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
  void count(int32_t token, int64_t times);  // of those below vocab
  SamplingParams params_;
  int64_t vocab_;
  std::unordered_map<int32_t, int64_t> times_;  // in the answer; 0 = in the prompt only
  std::optional<Dry> dry_;                      // of prompt and answer, where it is on
};

}  // namespace continuo::engine
