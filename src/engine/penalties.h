// What changes logits by an answer's history: logit bias, penalties, tokens that may not come, DRY.
// All but DRY and bad words of several tokens is ops::penalise() on the device, to the same bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/chooser.h"
#include "engine/dry.h"
#include "engine/sampling_params.h"

namespace continuo::engine {

// Remembers the history of one answer. One thread.
class Penalties {
 public:
  // Tokens outside [0, vocab) count for DRY alone. `ends`: the tokens that end the answer.
  Penalties(SamplingParams params, std::span<const int32_t> prompt, int64_t vocab,
            std::span<const int32_t> ends = {});
  void accept(int32_t token);
  // Whether apply() can change anything.
  bool any() const;
  // logits:[vocab]: adds the bias, then repetition (Keskar et al. 2019, as Hugging Face's
  // generate), frequency and presence (OpenAI), then takes what may not come, then DRY.
  void apply(std::span<float> logits) const;
  // The same for the device, as the history is now.
  SlotLine line() const;
  bool unfinished() const { return accepted_ < params_.min_tokens; }
  const SamplingParams& params() const { return params_; }

 private:
  bool inside(int32_t token) const { return token >= 0 && token < vocab_; }
  void penalise(std::span<float> logits) const;
  void forbid(std::span<float> logits) const;
  SamplingParams params_;
  int64_t vocab_;
  std::vector<int32_t> ends_;
  int64_t accepted_ = 0;
  // By token: ops::Mark's words of those in prompt or answer, and what is added to a logit.
  std::unordered_map<int32_t, int32_t> marks_;
  std::unordered_map<int32_t, float> bias_;
  std::vector<int32_t> answer_;  // where a bad word has several tokens
  std::optional<Dry> dry_;       // of prompt and answer, where it is on
};

}  // namespace continuo::engine
