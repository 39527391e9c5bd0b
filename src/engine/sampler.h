// Sampler: chooses one answer's tokens on the host, with all of SamplingParams.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/choose.h"
#include "engine/penalties.h"
#include "engine/request.h"

namespace continuo::engine {

// One answer's; one thread. With params that fits_device() it makes the device's choices exactly.
class Sampler {
 public:
  // `params` passed check(params, vocab) and have a seed unless greedy. `choice`: of the answer in
  // its request. `prompt`: for the penalties. logits below: [vocab].
  Sampler(const SamplingParams& params, int64_t choice, std::span<const int32_t> prompt,
          int64_t vocab);

  // The token at `index` of the answer; without one, at the number of tokens accepted. Records
  // nothing: calling it again gives the same token.
  int32_t sample(std::span<const float> logits) { return sample(logits, index_); }
  int32_t sample(std::span<const float> logits, int64_t index);
  // The token that stands next in the answer, whoever chose it.
  void accept(int32_t token);
  int64_t index() const { return index_; }  // tokens accepted
  const SamplingParams& params() const { return penalties_.params(); }

 private:
  int64_t choice_;
  int64_t index_ = 0;
  Penalties penalties_;
  std::vector<float> changed_;  // the logits after bias and penalties
};

// Of `token` and the `top` likeliest (the lower id first among equals), under softmax(logits).
// NaN counts as -inf; a `token` outside the logits has -inf.
TokenLogprobs logprobs(std::span<const float> logits, int32_t token, int64_t top);

}  // namespace continuo::engine
