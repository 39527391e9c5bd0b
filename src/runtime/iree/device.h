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
  static constexpr size_t kStagingBytes = size_t{4} << 20;

  // `options.device` "" is local-task.
  static Result<std::unique_ptr<Device>> open(const ExecutorOptions& options);
  ~Device();

  iree_hal_device_t* hal() const { return hal_.get(); }
  iree_hal_allocator_t* allocator() const { return iree_hal_device_allocator(hal_.get()); }
  iree_vm_instance_t* instance() const { return instance_.get(); }
  iree_vm_module_t* hal_module() const { return hal_module_.get(); }
  // The driver: "local-task", "local-sync", "cuda".
  const std::string& driver() const { return driver_; }
  // Whether its memory is the host's.
  bool on_host() const { return driver_ != "cuda"; }
  // Of a CUDA device: its name, its compute capability (10 * major + minor), its memory; of others
  // the driver, 0 and the machine's.
  const std::string& kind() const { return kind_; }
  int cuda_capability() const { return cuda_capability_; }
  int64_t memory_bytes() const { return memory_bytes_; }

  // To be called by each thread before it uses the device, also to free what is on it. Any thread.
  Status enter() const;
  // Memory of the host that the device copies from and to by itself, of kStagingBytes.
  Result<iree_hal_buffer_t*> staging();

  // The timeline for the next run: a new one after a failure.
  Result<std::shared_ptr<Timeline>> timeline();

 private:
  Device() = default;
  Status open_local(iree_async_proactor_pool_t* proactors, int threads);
  Status open_gpu(iree_async_proactor_pool_t* proactors);
  Status start();

  std::string driver_, kind_;
  int cuda_capability_ = 0;
  int64_t memory_bytes_ = 0;
  InstanceHandle instance_;
  DeviceHandle hal_;
  ModuleHandle hal_module_;
  BufferHandle staging_;
  std::shared_ptr<Timeline> timeline_;
};

}  // namespace continuo::runtime::iree
