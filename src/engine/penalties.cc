#include "engine/penalties.h"

namespace continuo::engine {
namespace {

bool dry(const SamplingParams& params) {
  return params.dry_multiplier > 0 && params.dry_penalty_last_n != 0;
}

bool counts(const SamplingParams& params) {
  return params.repetition_penalty != 1 || params.frequency_penalty != 0 ||
         params.presence_penalty != 0;
}

}  // namespace

Penalties::Penalties(SamplingParams params, std::span<const int32_t> prompt, int64_t vocab)
    : params_(std::move(params)), vocab_(vocab) {
  for (const int32_t token : prompt) count(token, 0);
  if (dry(params_)) dry_.emplace(params_, prompt);
}

void Penalties::accept(int32_t token) {
  count(token, 1);
  if (dry_) dry_->accept(token);
}

void Penalties::count(int32_t token, int64_t times) {
  if (counts(params_) && token >= 0 && token < vocab_) times_[token] += times;
}

bool Penalties::any() const { return counts(params_) || dry_ || !params_.logit_bias.empty(); }

void Penalties::apply(std::span<float> logits) const {
  for (const auto& [token, bias] : params_.logit_bias) logits[static_cast<size_t>(token)] += bias;
  const auto repetition = static_cast<float>(params_.repetition_penalty);
  for (const auto& [token, times] : times_) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (times > 0)
      logit -=
          static_cast<float>(params_.frequency_penalty * double(times) + params_.presence_penalty);
  }
  if (!dry_) return;
  for (const auto& [token, penalty] : dry_->penalties())
    if (token >= 0 && token < vocab_) logits[static_cast<size_t>(token)] -= penalty;
}

}  // namespace continuo::engine
