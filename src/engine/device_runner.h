// DeviceRunner: the engine's steps, run on a Stepper.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "engine/step_runner.h"
#include "engine/stepper.h"

namespace continuo::engine {

// Owned by Engine.
class DeviceRunner final : public StepRunner {
 public:
  explicit DeviceRunner(std::unique_ptr<Stepper> stepper) : stepper_(std::move(stepper)) {}
  Status prepare(
      std::span<const StepKey> keys,
      const std::function<void(const std::string&, int64_t, int64_t)>& on_progress) override;
  Status fork(const SlotFork& fork) override;
  Status launch(const StepKey& key, const StepInput& input) override;
  Result<StepResult> collect(bool want_logits) override;
  Status reset() override;

 private:
  std::unique_ptr<Stepper> stepper_;
  std::deque<StepOutput> launched_;
};

}  // namespace continuo::engine
