#include "engine/penalties.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/penalise.h"

namespace continuo::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

bool dry(const SamplingParams& params) {
  return params.dry_multiplier > 0 && params.dry_penalty_last_n != 0;
}

bool counts(const SamplingParams& params) {
  return params.repetition_penalty != 1 || params.frequency_penalty != 0 ||
         params.presence_penalty != 0;
}

// As ops::penalise(): on bits, so that no compiler and no device's mode matters.
float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? 0 : x; }

}  // namespace

Penalties::Penalties(SamplingParams params, std::span<const int32_t> prompt, int64_t vocab,
                     std::span<const int32_t> ends)
    : params_(std::move(params)),
      vocab_(vocab),
      ends_(ends.begin(), ends.end()),
      bias_(params_.logit_bias.begin(), params_.logit_bias.end()) {
  for (const std::vector<int32_t>& word : params_.bad_words)
    if (word.size() == 1) bias_[word[0]] = kNever;
  for (size_t i = 0; counts(params_) && i < prompt.size(); ++i)
    if (inside(prompt[i])) marks_[prompt[i]] = ops::kInPrompt;
  if (dry(params_)) dry_.emplace(params_, prompt);
}

void Penalties::accept(int32_t token) {
  ++accepted_;
  if (counts(params_) && inside(token)) marks_[token] += ops::kOnce;
  if (!fits_device(params_)) answer_.push_back(token);
  if (dry_) dry_->accept(token);
}

bool Penalties::any() const { return penalises(params_) || dry_; }

void Penalties::apply(std::span<float> logits) const {
  if (penalises(params_)) penalise(logits);
  forbid(logits);
  if (!dry_) return;
  for (const auto& [token, penalty] : dry_->penalties())
    if (inside(token)) logits[static_cast<size_t>(token)] -= penalty;
}

void Penalties::penalise(std::span<float> logits) const {
  const PenaltyFactors factors = penalty_factors(params_);
  const float reciprocal = 1 / factors.repetition;
  for (float& logit : logits) logit = flushed(logit);
  for (const auto& [token, bias] : bias_) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = flushed(logit + bias);
  }
  for (const auto& [token, mark] : marks_) {
    float& logit = logits[static_cast<size_t>(token)];
    const float product = logit * (logit > 0 ? reciprocal : factors.repetition);
    logit = flushed(product);
    const int32_t times = mark / ops::kOnce;
    if (times == 0) continue;
    const float frequent = flushed(factors.frequency * static_cast<float>(times));
    const float lost = flushed(frequent + factors.presence);
    logit = flushed(logit - lost);
  }
  if (!unfinished()) return;
  for (const int32_t token : ends_)
    if (inside(token)) logits[static_cast<size_t>(token)] = kNever;
}

// The last token of each bad word whose other tokens have just come.
void Penalties::forbid(std::span<float> logits) const {
  for (const std::vector<int32_t>& word : params_.bad_words) {
    const size_t before = word.size() - 1;
    if (before == 0 || answer_.size() < before) continue;
    if (std::equal(word.begin(), word.end() - 1, answer_.end() - std::ptrdiff_t(before)))
      logits[static_cast<size_t>(word.back())] = kNever;
  }
}

SlotLine Penalties::line() const {
  const auto size = static_cast<size_t>(vocab_);
  SlotLine line{std::vector<int32_t>(size), std::vector<float>(size)};
  for (const auto& [token, mark] : marks_) line.marks[static_cast<size_t>(token)] = mark;
  for (const int32_t token : ends_)
    if (inside(token)) line.marks[static_cast<size_t>(token)] |= ops::kEndsAnswer;
  for (const auto& [token, bias] : bias_) line.bias[static_cast<size_t>(token)] = bias;
  return line;
}

}  // namespace continuo::engine
