#include "engine/sampler.h"

#include <algorithm>
#include <cmath>

namespace continuo::engine {

Status check(const SamplingParams& params) {
  const auto refuse = [](const char* field, const char* wanted, double got) {
    return error(ErrorCode::kInvalidArgument, "{}: wanted {}, got {}", field, wanted, got);
  };
  if (!(params.temperature >= 0) || !std::isfinite(params.temperature))
    return refuse("temperature", "a number >= 0", params.temperature);
  if (params.top_k < 0) return refuse("top_k", "an integer >= 0", double(params.top_k));
  if (!(params.top_p > 0 && params.top_p <= 1)) return refuse("top_p", "0 < p <= 1", params.top_p);
  if (!(params.min_p >= 0 && params.min_p <= 1))
    return refuse("min_p", "0 <= p <= 1", params.min_p);
  return ok_status();
}

std::vector<Sampler::Candidate> Sampler::candidates(std::span<const float> logits) const {
  std::vector<Candidate> all;
  all.reserve(logits.size());
  const float top = *std::max_element(logits.begin(), logits.end());
  for (size_t i = 0; i < logits.size(); ++i)
    all.push_back({static_cast<int32_t>(i),
                   std::exp((double(logits[i]) - double(top)) / params_.temperature)});
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
  };
  if (params_.top_k > 0 && static_cast<size_t>(params_.top_k) < all.size()) {
    std::nth_element(all.begin(), all.begin() + params_.top_k, all.end(), likelier);
    all.resize(static_cast<size_t>(params_.top_k));
  }
  std::sort(all.begin(), all.end(), likelier);
  double sum = 0;
  for (const Candidate& each : all) sum += each.probability;
  size_t kept = all.size();
  if (params_.top_p < 1) {
    double reached = 0;
    for (kept = 0; kept < all.size() && reached < params_.top_p * sum; ++kept)
      reached += all[kept].probability;
  }
  // Likelihoods are relative to the likeliest, which has 1.
  while (kept > 1 && all[kept - 1].probability < params_.min_p) --kept;
  all.resize(std::max<size_t>(kept, 1));
  sum = 0;
  for (const Candidate& each : all) sum += each.probability;
  for (Candidate& each : all) each.probability /= sum;
  return all;
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (params_.temperature == 0)
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  const std::vector<Candidate> choices = candidates(logits);
  // 53 bits of the generator: the library's distributions differ between implementations.
  double left = static_cast<double>(random_() >> 11) * 0x1p-53;
  for (const Candidate& each : choices) {
    left -= each.probability;
    if (left < 0) return each.id;
  }
  return choices.back().id;
}

}  // namespace continuo::engine
