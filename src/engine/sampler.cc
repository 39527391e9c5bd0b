#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace continuo::engine {

Sampler::Sampler(const SamplingParams& params, int64_t choice, std::span<const int32_t> prompt,
                 int64_t vocab)
    : choice_(choice), penalties_(params, prompt, vocab) {}

int32_t Sampler::sample(std::span<const float> logits, int64_t index) {
  const SampleRow row = sample_row(params(), choice_, index);
  if (!penalties_.any()) return choose(logits, row);
  changed_.assign(logits.begin(), logits.end());
  penalties_.apply(changed_);
  return choose(changed_, row);
}

void Sampler::accept(int32_t token) {
  ++index_;
  penalties_.accept(token);
}

TokenLogprobs logprobs(std::span<const float> logits, int32_t token, int64_t top) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  const auto logit = [&](size_t i) { return std::isnan(logits[i]) ? kNone : logits[i]; };
  float largest = kNone;
  for (size_t i = 0; i < logits.size(); ++i) largest = std::max(largest, logit(i));
  // Where the largest is infinite, those equal to it share everything.
  const auto below = [&](size_t i) {
    return logit(i) == largest ? 0.0 : double(logit(i)) - double(largest);
  };
  double sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) sum += std::exp(below(i));
  const auto logprob = [&](size_t i) { return static_cast<float>(below(i) - std::log(sum)); };

  TokenLogprobs result;
  result.logprob =
      token >= 0 && size_t(token) < logits.size() ? logprob(static_cast<size_t>(token)) : kNone;
  std::vector<int32_t> ids(logits.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  const auto count = std::clamp<int64_t>(top, 0, static_cast<int64_t>(ids.size()));
  std::partial_sort(ids.begin(), ids.begin() + count, ids.end(), [&](int32_t a, int32_t b) {
    const float x = logit(size_t(a)), y = logit(size_t(b));
    return x != y ? x > y : a < b;
  });
  for (int64_t i = 0; i < count; ++i)
    result.top.emplace_back(ids[size_t(i)], logprob(static_cast<size_t>(ids[size_t(i)])));
  return result;
}

}  // namespace continuo::engine
