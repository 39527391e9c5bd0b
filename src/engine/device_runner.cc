#include "engine/device_runner.h"

namespace continuo::engine {

Status DeviceRunner::prepare(
    std::span<const StepKey> keys,
    const std::function<void(const std::string&, int64_t, int64_t)>& on_progress) {
  const int64_t total = static_cast<int64_t>(keys.size());
  CONTINUO_RETURN_IF_ERROR(stepper_->prepare(keys, [&](int64_t done) {
    if (on_progress) on_progress("compile", done, total);
  }));
  // Steps of one row and of a row a slot: as many as there are, whatever is attended.
  for (const StepKey& key : keys)
    if (key.head == models::Head::kSample)
      CONTINUO_RETURN_IF_ERROR(stepper_->prepare_choices(key.rows));
  // A GPU loads a program's kernels when it first runs: a tenth of a second that no client waits.
  if (stepper_->target().platform != "cpu") CONTINUO_RETURN_IF_ERROR(stepper_->warm_up(keys));
  if (stepper_->options().slots > 1) CONTINUO_RETURN_IF_ERROR(stepper_->state().prepare_forks());
  prepared_.insert(keys.begin(), keys.end());
  return ok_status();
}

Status DeviceRunner::fork(const SlotFork& fork) {
  return stepper_->state().fork(fork.from, fork.to, fork.positions);
}

Status DeviceRunner::launch(const StepKey& key, const StepInput& input) {
  CONTINUO_TRY(StepOutput output, stepper_->run(key, input));
  launched_.push_back({std::move(output), input.logits_of});
  return ok_status();
}

Status DeviceRunner::set_line(int32_t slot, const SlotLine& line) {
  return stepper_->set_line(slot, line);
}

Result<StepResult> DeviceRunner::collect() {
  if (launched_.empty()) return error(ErrorCode::kInternal, "collect: no step was launched");
  const Launched step = std::move(launched_.front());
  launched_.pop_front();
  CONTINUO_TRY(const HostTensor tokens, step.output.head->download());
  StepResult result;
  result.tokens.assign(tokens.as<int32_t>().begin(), tokens.as<int32_t>().end());
  if (step.output.report != nullptr) {
    CONTINUO_TRY(const HostTensor report, step.output.report->download());
    result.report.assign(report.as<int32_t>().begin(), report.as<int32_t>().end());
  }
  result.logits.resize(result.tokens.size());
  for (size_t i = 0; i < step.logits_of.size(); ++i) {
    CONTINUO_TRY(const HostTensor logits, step.output.rows[i]->download());
    result.logits.at(step.logits_of[i])
        .assign(logits.as<float>().begin(), logits.as<float>().end());
  }
  return result;
}

Status DeviceRunner::reset() {
  launched_.clear();
  return stepper_->reset();
}

}  // namespace continuo::engine
