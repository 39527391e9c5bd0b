// Sampler: one token from one row of logits, on the host.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "base/result.h"

namespace continuo::engine {

// Applied in this order, as Hugging Face's generate and vLLM do: temperature, top-k, top-p, min-p.
struct SamplingParams {
  double temperature = 0;  // 0 = greedy: the largest logit, the lowest id among equals
  int64_t top_k = 0;       // keep the k likeliest; 0 = all
  double top_p = 1;        // keep the likeliest until their probabilities reach p
  double min_p = 0;        // keep those at least min_p times as likely as the likeliest
  uint64_t seed = 0;
};
// kInvalidArgument names the field, its range and what came.
Status check(const SamplingParams& params);

// One sequence's; one thread. The same seed gives the same tokens on every machine.
class Sampler {
 public:
  explicit Sampler(const SamplingParams& params) : params_(params), random_(params.seed) {}
  int32_t sample(std::span<const float> logits);
  // The tokens that may be chosen and their probabilities, likeliest first.
  struct Candidate {
    int32_t id;
    double probability;
  };
  std::vector<Candidate> candidates(std::span<const float> logits) const;

 private:
  SamplingParams params_;
  std::mt19937_64 random_;
};

}  // namespace continuo::engine
