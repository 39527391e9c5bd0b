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
  // its request. `prompt`: for the penalties; `ends`: tokens that end the answer. logits: [vocab].
  Sampler(const SamplingParams& params, int64_t choice, std::span<const int32_t> prompt,
          int64_t vocab, std::span<const int32_t> ends = {});

  // The token at `index` of the answer; without one, at the number of tokens accepted. Records
  // nothing: calling it again gives the same token.
  int32_t sample(std::span<const float> logits) { return sample(logits, index_); }
  int32_t sample(std::span<const float> logits, int64_t index);
  // The token that stands next in the answer, whoever chose it.
  void accept(int32_t token);
  int64_t index() const { return index_; }  // tokens accepted
  const SamplingParams& params() const { return penalties_.params(); }
  // How the device chooses the token at `index`, and what its slot's line says by now.
  ChoiceRow choice_row(int64_t index) const;
  SlotLine line() const { return penalties_.line(); }

 private:
  int64_t choice_;
  int64_t index_ = 0;
  Penalties penalties_;
  std::vector<float> changed_;  // the logits after bias and penalties
};

// Of `token` and the `top` likeliest (the lower id first among equals), under softmax(logits),
// whose sum is that of ops::report(): host and device give the same bits, within 1e-6 of the
// logarithm. NaN counts as -inf and comes last; a `token` outside the logits has -inf.
TokenLogprobs logprobs(std::span<const float> logits, int32_t token, int64_t top);
// The same from a line of a report.
TokenLogprobs logprobs(std::span<const int32_t> report, int64_t top);

}  // namespace continuo::engine
