// Benchmarks: ratios against a floor measured in the same run. Not tests: nothing here fails.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <vector>

#include "base/result.h"
#include "engine/loaded_model.h"
#include "engine/stepper.h"
#include "measure/bandwidth.h"

namespace continuo::bench {

using measure::host_bandwidth;

double median(std::vector<double> values);
// Seconds that each call takes.
std::vector<double> time_each(int count, const std::function<Status()>& call, Status& status);

// A step with every row at the same start; its time includes the head's download.
Status run_step(engine::Stepper& stepper, const engine::StepKey& key, int64_t start,
                int64_t length);

void add_decode(CLI::App& app, int& exit_code);
void add_recurrent(CLI::App& app, int& exit_code);

}  // namespace continuo::bench
