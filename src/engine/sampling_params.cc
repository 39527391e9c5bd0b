#include "engine/sampling_params.h"

#include <algorithm>
#include <cmath>

namespace continuo::engine {
namespace {

Error refuse(const std::string& field, const char* wanted, double got) {
  return error(ErrorCode::kInvalidArgument, "{}: wanted {}, got {}", field, wanted, got);
}

Status check_id(const char* field, int32_t id, int64_t vocab) {
  if (id >= 0 && id < vocab) return ok_status();
  return error(ErrorCode::kInvalidArgument, "{}: wanted token ids from 0 to {}, got {}", field,
               vocab - 1, id);
}

bool within(double value, double low, double high) { return value >= low && value <= high; }

Status check_dry(const SamplingParams& params, int64_t vocab) {
  if (!(params.dry_multiplier >= 0) || !std::isfinite(params.dry_multiplier))
    return refuse("dry_multiplier", "a number >= 0", params.dry_multiplier);
  if (!(params.dry_base >= 1) || !std::isfinite(params.dry_base))
    return refuse("dry_base", "a number >= 1", params.dry_base);
  if (params.dry_allowed_length < 0)
    return refuse("dry_allowed_length", "an integer >= 0", double(params.dry_allowed_length));
  if (params.dry_penalty_last_n < -1)
    return refuse("dry_penalty_last_n", "an integer >= -1", double(params.dry_penalty_last_n));
  for (const int32_t id : params.dry_breakers)
    CONTINUO_RETURN_IF_ERROR(check_id("dry_breakers", id, vocab));
  return ok_status();
}

Status check_bad_words(const SamplingParams& params, int64_t vocab) {
  if (params.bad_words.size() > kMostBadWords)
    return error(ErrorCode::kInvalidArgument, "bad_words: expected at most {}, got {}",
                 kMostBadWords, params.bad_words.size());
  for (const std::vector<int32_t>& word : params.bad_words) {
    if (word.empty() || word.size() > kLongestBadWord)
      return error(ErrorCode::kInvalidArgument,
                   "bad_words: expected words of 1 to {} tokens, got one of {}", kLongestBadWord,
                   word.size());
    for (const int32_t id : word) CONTINUO_RETURN_IF_ERROR(check_id("bad_words", id, vocab));
  }
  return ok_status();
}

}  // namespace

Status check(const SamplingParams& params, int64_t vocab) {
  if (!(params.temperature >= 0) || !std::isfinite(params.temperature))
    return refuse("temperature", "a number >= 0", params.temperature);
  if (params.top_k < 0) return refuse("top_k", "an integer >= 0", double(params.top_k));
  if (!(params.top_p > 0 && params.top_p <= 1)) return refuse("top_p", "0 < p <= 1", params.top_p);
  if (!within(params.min_p, 0, 1)) return refuse("min_p", "0 <= p <= 1", params.min_p);
  if (!(params.repetition_penalty > 0) || !std::isfinite(params.repetition_penalty))
    return refuse("repetition_penalty", "a number > 0", params.repetition_penalty);
  if (!within(params.frequency_penalty, -2, 2))
    return refuse("frequency_penalty", "a number from -2 to 2", params.frequency_penalty);
  if (!within(params.presence_penalty, -2, 2))
    return refuse("presence_penalty", "a number from -2 to 2", params.presence_penalty);
  for (const auto& [id, bias] : params.logit_bias) {
    CONTINUO_RETURN_IF_ERROR(check_id("logit_bias", id, vocab));
    if (!std::isfinite(bias))
      return refuse("logit_bias of token " + std::to_string(id), "a finite number", double(bias));
  }
  if (params.min_tokens < 0)
    return refuse("min_tokens", "an integer >= 0", double(params.min_tokens));
  CONTINUO_RETURN_IF_ERROR(check_bad_words(params, vocab));
  return check_dry(params, vocab);
}

bool fits_device(const SamplingParams& params) {
  return (params.dry_multiplier == 0 || params.dry_penalty_last_n == 0) &&
         std::all_of(params.bad_words.begin(), params.bad_words.end(),
                     [](const auto& word) { return word.size() == 1; });
}

bool penalises(const SamplingParams& params) {
  return params.repetition_penalty != 1 || params.frequency_penalty != 0 ||
         params.presence_penalty != 0 || !params.logit_bias.empty() || params.min_tokens > 0 ||
         !params.bad_words.empty();
}

PenaltyFactors penalty_factors(const SamplingParams& params) {
  return {std::clamp(static_cast<float>(params.repetition_penalty), 1e-30F, 1e30F),
          static_cast<float>(params.frequency_penalty),
          static_cast<float>(params.presence_penalty)};
}

}  // namespace continuo::engine
