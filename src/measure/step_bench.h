// The bare step, without the engine around it: milliseconds against the memory's floor, every row
// at its own position (ragged) or all at one (uniform).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/loaded_model.h"

namespace continuo::measure {

struct StepBenchOptions {
  std::vector<int64_t> rows{1, 2, 4, 8, 16};
  int64_t prompt = 128, tokens = 64;
  int64_t context = 0;  // positions a slot holds; 0 = the next power of two
  int64_t columns = 0;  // of the widest prefill step; 0 = as the engine chooses
  bool whole = false;   // attend over the whole context; else as the engine does
  bool best = false;    // of the steps' times; else their median
  bool ragged = true, uniform = false;
  int64_t ahead = 1;  // steps launched before the last one's tokens are waited for; timed together
};

struct StepBenchLine {
  int64_t rows = 0;
  std::string mode;  // "ragged" | "uniform"
  double ms_per_step = 0, tokens_per_s = 0, prefill_tokens_per_s = 0, floor_ms = 0, floor_ratio = 0;
};

// Ragged and uniform steps of one number of rows are run in turns. One thread.
Result<std::vector<StepBenchLine>> bench_steps(engine::LoadedModel& model,
                                               const StepBenchOptions& options);

double percentile(std::vector<double> values, double fraction);  // 0 to 1; at least one value

}  // namespace continuo::measure
