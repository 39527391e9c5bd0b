// What a request may say about how its tokens are chosen.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace continuo::engine {

// Applied in this order: logit bias, penalties (repetition, frequency, presence), min_tokens, bad
// words, DRY, temperature, top-k, top-p, min-p; the defaults change nothing. Names and meanings are
// those of Hugging Face's generate (repetition_penalty), OpenAI and vLLM (frequency, presence,
// logit_bias, min_p, min_tokens, bad_words) and llama.cpp (DRY).
struct SamplingParams {
  double temperature = 0;  // 0 = greedy: the largest logit, the lowest id among equals
  int64_t top_k = 0;       // keep the k likeliest, and those equal to the last of them; 0 = all
  double top_p = 1;        // keep the likeliest until their probabilities reach p
  double min_p = 0;        // keep those at least min_p times as likely as the likeliest
  double repetition_penalty = 1;        // > 0; of tokens in prompt or answer: l > 0 ? l / p : l * p
  double frequency_penalty = 0;         // -2 to 2; l -= p * times in the answer
  double presence_penalty = 0;          // -2 to 2; l -= p if in the answer
  std::map<int32_t, float> logit_bias;  // token id -> added to its logit
  int64_t min_tokens = 0;               // until so many have come, nothing ends the answer
  // Sequences of ids that the answer never contains; at most kMostBadWords of kLongestBadWord.
  std::vector<std::vector<int32_t>> bad_words;
  // DRY ("don't repeat yourself"): a token that would prolong a repeated sequence of n tokens loses
  // multiplier * base^(n - allowed_length).
  double dry_multiplier = 0;  // 0 = off
  double dry_base = 1.75;
  int64_t dry_allowed_length = 2;
  int64_t dry_penalty_last_n = -1;    // tokens looked back at; -1 = all, 0 = off
  std::vector<int32_t> dry_breakers;  // a repeated sequence does not reach across these ids
  // Absent: drawn by the engine. The same seed and the same logits give the same tokens; when
  // logits are the same, docs/determinism.md says.
  std::optional<uint64_t> seed;
};
constexpr size_t kMostBadWords = 256, kLongestBadWord = 64;
// kInvalidArgument names the field, its range and what came. `vocab`: of the model's logits.
Status check(const SamplingParams& params, int64_t vocab);

// Whether the device can choose: without DRY and bad words of several tokens.
bool fits_device(const SamplingParams& params);

// Whether something but DRY changes the logits.
bool penalises(const SamplingParams& params);

// The penalties as they are applied, in float32: within what a product can be made of.
struct PenaltyFactors {
  float repetition = 1, frequency = 0, presence = 0;
};
PenaltyFactors penalty_factors(const SamplingParams& params);

}  // namespace continuo::engine
