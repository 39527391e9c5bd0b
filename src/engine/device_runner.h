// DeviceRunner: the engine's steps, run on a Stepper.
#pragma once

#include <deque>
#include <memory>
#include <set>
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
  bool prepared(const StepKey& key) const override { return prepared_.contains(key); }
  Status fork(const SlotFork& fork) override;
  Status set_line(int32_t slot, const SlotLine& line) override;
  Status launch(const StepKey& key, const StepInput& input) override;
  Result<StepResult> collect() override;
  Status reset() override;

 private:
  std::unique_ptr<Stepper> stepper_;
  struct Launched {
    StepOutput output;
    std::vector<size_t> logits_of;
  };
  std::deque<Launched> launched_;
  std::set<StepKey> prepared_;
};

}  // namespace continuo::engine
