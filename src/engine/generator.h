// Generator: one sequence at a time, from prompt ids to a stream of tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "engine/stepper.h"

namespace continuo::engine {

struct GenerateRequest {
  std::vector<int32_t> ids;  // the prompt, at least one
  int64_t max_tokens = 256;
  SamplingParams sampling;
  std::set<int32_t> eos_ids;  // end the answer; not part of it
};

enum class FinishReason { kStop, kLength, kCancelled };
const char* to_string(FinishReason reason);  // "stop", "length", "cancelled"

struct GenerateResult {
  std::vector<int32_t> ids;  // without the EOS that ended it
  FinishReason reason = FinishReason::kLength;
  double prefill_seconds = 0, decode_seconds = 0;
  double first_token_seconds = 0;  // from the call to the first token
  int64_t decode_steps = 0;
};

// Owns nothing but its stepper's slot 0. One thread.
class Generator {
 public:
  explicit Generator(Stepper& stepper) : stepper_(stepper) {}

  // Compiles what generate() will run.
  Status prepare(const GenerateRequest& request);
  // `on_token` sees each token as it is chosen and returns false to stop.
  Result<GenerateResult> generate(const GenerateRequest& request,
                                  const std::function<bool(int32_t)>& on_token);

  // The positions a slot must hold for a prompt and an answer of these lengths: a power of two, so
  // that few graphs serve all lengths, but no more than the model has.
  static int64_t context_for(int64_t prompt, int64_t max_tokens, int64_t model_positions);

 private:
  StepKey prefill_key(int64_t count, const GenerateRequest& request) const;
  StepKey decode_key(const GenerateRequest& request) const;
  Result<int32_t> step(const StepKey& key, std::span<const int32_t> ids, int64_t start,
                       Sampler& sampler);
  Stepper& stepper_;
};

}  // namespace continuo::engine
