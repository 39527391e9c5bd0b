// StepRunner: what the engine's loop asks of a device. DeviceRunner (device_runner.h) runs steps on
// a Stepper; tests of the loop have one without a device.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/scheduler.h"
#include "engine/stepper.h"

namespace continuo::engine {

// What a step chose.
struct StepResult {
  std::vector<int32_t> tokens;             // [R]; negative: the row computed nothing to choose from
  std::vector<std::vector<float>> logits;  // [R], [V] each of StepInput::logits_of, else empty
  std::vector<int32_t> report;  // [R, report_width(V)], or empty where no choice wants one
};

// One thread, the step thread, after the first prepare().
class StepRunner {
 public:
  virtual ~StepRunner() = default;
  // All that launch() and fork() may need for these keys; `on_progress` as in EngineOptions.
  virtual Status prepare(
      std::span<const StepKey> keys,
      const std::function<void(const std::string&, int64_t, int64_t)>& on_progress) = 0;
  // Whether launch() of this key compiles and loads nothing.
  virtual bool prepared(const StepKey& key) const = 0;
  virtual Status fork(const SlotFork& fork) = 0;
  // Tells the device of a slot's answer, before the first of its steps whose choices are penalised.
  virtual Status set_line(int32_t slot, const SlotLine& line) = 0;
  // Begins a step whose head chooses tokens; several may be under way.
  virtual Status launch(const StepKey& key, const StepInput& input) = 0;
  // Waits for the oldest step launched and not collected.
  virtual Result<StepResult> collect() = 0;
  // After an error of any of these: forgets what is under way and makes the state anew.
  virtual Status reset() = 0;
};

}  // namespace continuo::engine
