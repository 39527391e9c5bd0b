#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "ops/penalise.h"

namespace continuo::engine {

Sampler::Sampler(const SamplingParams& params, int64_t choice, std::span<const int32_t> prompt,
                 int64_t vocab, std::span<const int32_t> ends)
    : choice_(choice), penalties_(params, prompt, vocab, ends) {}

int32_t Sampler::sample(std::span<const float> logits, int64_t index) {
  const SampleRow row = sample_row(params(), choice_, index);
  if (!penalties_.any()) return choose(logits, row);
  changed_.assign(logits.begin(), logits.end());
  penalties_.apply(changed_);
  const bool allowed = std::any_of(changed_.begin(), changed_.end(), [](float logit) {
    return logit > -std::numeric_limits<float>::infinity();
  });
  return allowed ? choose(changed_, row) : ops::kNothingAllowed;
}

void Sampler::accept(int32_t token) {
  ++index_;
  penalties_.accept(token);
}

ChoiceRow Sampler::choice_row(int64_t index) const {
  const PenaltyFactors factors = penalty_factors(params());
  return {.sampling = sample_row(params(), choice_, index),
          .penalised = penalises(params()),
          .repetition = factors.repetition,
          .frequency = factors.frequency,
          .presence = factors.presence,
          .unfinished = index < params().min_tokens};
}

namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

// What divides e^logit to make a probability.
struct Softmax {
  uint64_t total = 0;  // of e^(logit - largest), as ops::report() has it
  float largest = kNone;
  float logprob(float logit) const {
    const double own = std::isnan(logit) ? kNone : logit;
    const double most = std::isnan(largest) ? kNone : largest;
    // Where the largest is infinite, those equal to it share everything.
    const double below = own == most ? 0.0 : own - most;
    return static_cast<float>(below - std::log(std::ldexp(double(total), -kSoftmaxBits)));
  }
};

}  // namespace

TokenLogprobs logprobs(std::span<const float> logits, int32_t token, int64_t top) {
  Softmax softmax{softmax_total(logits), kNone};
  for (const float logit : logits)
    if (!std::isnan(logit)) softmax.largest = std::max(softmax.largest, logit);
  TokenLogprobs result;
  result.logprob = token >= 0 && size_t(token) < logits.size()
                       ? softmax.logprob(logits[static_cast<size_t>(token)])
                       : kNone;
  std::vector<int32_t> ids(logits.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  const auto count = std::clamp<int64_t>(top, 0, static_cast<int64_t>(ids.size()));
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(), [&](int32_t a, int32_t b) {
    const uint32_t x = likelihood_key(logits[size_t(a)]), y = likelihood_key(logits[size_t(b)]);
    return x != y ? x > y : a < b;
  });
  for (int64_t i = 0; i < count; ++i)
    result.top.emplace_back(ids[size_t(i)], softmax.logprob(logits[size_t(ids[size_t(i)])]));
  return result;
}

TokenLogprobs logprobs(std::span<const int32_t> report, int64_t top) {
  if (std::ssize(report) < ops::kLikeliestField) return {};
  const auto word = [&](int64_t field) { return static_cast<uint32_t>(report[size_t(field)]); };
  const auto logit = [&](int64_t field) { return std::bit_cast<float>(word(field)); };
  const Softmax softmax{word(ops::kTotalField) | uint64_t{word(ops::kTotalField + 1)} << 32,
                        logit(ops::kLargestField)};
  const int64_t most = (std::ssize(report) - ops::kLikeliestField) / 2;
  TokenLogprobs result;
  result.logprob = softmax.logprob(logit(ops::kChosenField));
  for (int64_t i = 0; i < std::min(top, most); ++i)
    result.top.emplace_back(report[size_t(ops::kLikeliestField + i)],
                            softmax.logprob(logit(ops::kLikeliestField + most + i)));
  return result;
}

}  // namespace continuo::engine
