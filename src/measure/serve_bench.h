// The engine under load: requests that arrive at random times, as clients of a server send them.
#pragma once

#include <cstdint>

#include "engine/engine.h"

namespace continuo::measure {

struct ServeBenchOptions {
  int64_t requests = 64;
  int64_t prompt = 128, tokens = 64;  // of each request; end tokens are ignored
  double rate = 0;                    // requests a second, Poisson; 0 = all at once
  uint64_t seed = 1;
  engine::SamplingParams sampling = {};  // of each request
  int64_t top_logprobs = -1;             // likewise; -1 = none
};

struct Percentiles {
  double p50 = 0, p95 = 0, p99 = 0;  // milliseconds
};

struct ServeBenchResult {
  double seconds = 0, tokens_per_s = 0, requests_per_s = 0;
  Percentiles first_token, between_tokens;
};

// Waits until every request has ended; kUnavailable if one of them failed.
Result<ServeBenchResult> bench_serving(engine::Engine& engine, int64_t vocab,
                                       const ServeBenchOptions& options);

}  // namespace continuo::measure
