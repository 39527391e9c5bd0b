// The host's part of a step: the engine's loop, whole, over a device that takes no time.
#pragma once

#include <cstdint>

#include "engine/engine.h"

namespace continuo::measure {

struct HostBenchOptions {
  int64_t streams = 1;                 // slots, each with one answer
  int64_t prompt = 128, tokens = 256;  // of each
  engine::Request request;             // what each asks for, besides its ids and its length
};

// Microseconds of processor time on the step thread, the median over steps with all streams.
struct HostBenchResult {
  double us_per_step = 0, us_per_token = 0;
};

// `tokenizer` may be null: then tokens have no text.
Result<HostBenchResult> bench_host(const text::Tokenizer* tokenizer, int64_t vocab,
                                   const HostBenchOptions& options);

}  // namespace continuo::measure
