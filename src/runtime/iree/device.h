// The device that an IREE executor runs on: a HAL device, and the order of what runs on it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "runtime/executor.h"
#include "runtime/iree/handle.h"

namespace continuo::runtime::iree {

// Runs in their order, each a step on one semaphore. A failed run ends the timeline: what it and
// the runs after it compute is lost. Shared by the buffers that they write. Any thread may wait.
class Timeline {
 public:
  static Result<std::shared_ptr<Timeline>> create(iree_hal_device_t* device);
  // Signalled when run `step` has completed; step 0 is before the first.
  Result<FenceHandle> fence(uint64_t step) const;
  // Waits for `step`: the error of the run that failed, if one did by then.
  Status wait(uint64_t step);
  bool failed() const;

  uint64_t last = 0;  // the latest step given out; executor's thread only

 private:
  explicit Timeline(SemaphoreHandle semaphore) : semaphore_(std::move(semaphore)) {}
  SemaphoreHandle semaphore_;
  uint64_t completed_ = 0;  // known to have been reached: still good after a failure
};

// Owned by the executor; its thread only.
class Device {
 public:
  // `options.device` "" is local-task.
  static Result<std::unique_ptr<Device>> open(const ExecutorOptions& options);

  iree_hal_device_t* hal() const { return hal_.get(); }
  iree_hal_allocator_t* allocator() const { return iree_hal_device_allocator(hal_.get()); }
  iree_vm_instance_t* instance() const { return instance_.get(); }
  iree_vm_module_t* hal_module() const { return hal_module_.get(); }
  // The driver: "local-task", "local-sync".
  const std::string& driver() const { return driver_; }
  // Whether its memory is the host's.
  bool on_host() const { return true; }

  // The timeline for the next run: a new one after a failure.
  Result<std::shared_ptr<Timeline>> timeline();

 private:
  Device() = default;
  Status open_local(const std::string& driver, int threads);
  Status start();

  std::string driver_;
  InstanceHandle instance_;
  DeviceHandle hal_;
  ModuleHandle hal_module_;
  std::shared_ptr<Timeline> timeline_;
};

}  // namespace continuo::runtime::iree
