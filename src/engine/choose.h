// The device's choice of a token (ops/sample.h), on the host, and what the device must be told for
// it. Both give the same tokens, bit for bit: the arithmetic is ops/sample_math.h's.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "engine/sampling_params.h"

namespace continuo::engine {

// One row of ops::SampleInputs. The default is greedy.
struct SampleRow {
  float temperature = 0;
  int32_t top_k = 0;
  float top_p = 1, min_p = 0;
  std::array<uint32_t, 2> key{};  // upload as i32, bit for bit
};

// The noise of a token is a function of this and its id alone, so not of row, batch or arrival.
// `index`: of the token in the answer, from 0. Mixed by splitmix64's finaliser (Steele, Lea and
// Flood 2014), so that neighbouring seeds, choices and indices have nothing in common.
std::array<uint32_t, 2> sample_key(uint64_t seed, int64_t choice, int64_t index);

// `params.seed` is present unless params are greedy.
SampleRow sample_row(const SamplingParams& params, int64_t choice, int64_t index);

// Whether top-k, top-p or min-p are on: a step none of whose rows has them runs the graph without.
bool truncates(const SamplingParams& params);

// In the order of the logits: both zeros equal, NaN 0.
uint32_t likelihood_key(float logit);
// The sum of e^(logit - largest), in units of 2^-kSoftmaxBits.
constexpr int kSoftmaxBits = 42;
uint64_t softmax_total(std::span<const float> logits);

// At least one logit. Tokens of logit -inf or NaN are chosen only where there is nothing else; NaN
// counts as less than -inf, so of all NaN greedy takes id 0. V <= 2^20.
int32_t choose(std::span<const float> logits, const SampleRow& row);

}  // namespace continuo::engine
