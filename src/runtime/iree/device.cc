#include "runtime/iree/device.h"

#include <iree/async/frontier_tracker.h>
#include <iree/async/util/proactor_pool.h>
#include <iree/base/threading/numa.h>
#include <iree/hal/device_group.h>
#include <iree/hal/drivers/local_sync/sync_device.h>
#include <iree/hal/drivers/local_task/task_device.h>
#include <iree/hal/local/loaders/embedded_elf_loader.h>
#include <iree/modules/hal/module.h>
#include <iree/task/api.h>

#include <unistd.h>

#include "runtime/cpu_info.h"
#include "runtime/iree/cuda.h"

namespace continuo::runtime::iree {
namespace {

using LoaderHandle = Handle<iree_hal_executable_loader_t, iree_hal_executable_loader_release>;
using AllocatorHandle = Handle<iree_hal_allocator_t, iree_hal_allocator_release>;
using TaskExecutorHandle = Handle<iree_task_executor_t, iree_task_executor_release>;
using ProactorPoolHandle = Handle<iree_async_proactor_pool_t, iree_async_proactor_pool_release>;
using TrackerHandle = Handle<iree_async_frontier_tracker_t, iree_async_frontier_tracker_release>;
using GroupHandle = Handle<iree_hal_device_group_t, iree_hal_device_group_release>;

iree_string_view_t view(const std::string& text) {
  return iree_make_string_view(text.data(), text.size());
}

// A pool of `threads` that sleeps when there is nothing to do.
Status create_task_executor(int threads, TaskExecutorHandle& executor) {
  if (threads > IREE_TASK_TOPOLOGY_MAX_GROUP_COUNT)
    return error(ErrorCode::kInvalidArgument, "wanted at most {} threads, got {}",
                 IREE_TASK_TOPOLOGY_MAX_GROUP_COUNT, threads);
  iree_task_executor_options_t options;
  iree_task_executor_options_initialize(&options);
  options.worker_spin_ns = IREE_DURATION_ZERO;  // spinning takes the cores from everybody else
  iree_task_topology_t topology;
  iree_task_topology_initialize_from_group_count(static_cast<iree_host_size_t>(threads), &topology);
  const iree_status_t status =
      iree_task_executor_create(options, &topology, iree_allocator_system(), out(executor));
  iree_task_topology_deinitialize(&topology);
  return take("threads", status);
}

}  // namespace

Result<std::shared_ptr<Timeline>> Timeline::create(iree_hal_device_t* device) {
  SemaphoreHandle semaphore;
  CONTINUO_RETURN_IF_ERROR(
      take("timeline", iree_hal_semaphore_create(device, IREE_HAL_QUEUE_AFFINITY_ANY, 0,
                                                 IREE_HAL_SEMAPHORE_FLAG_DEFAULT, out(semaphore))));
  return std::shared_ptr<Timeline>(new Timeline(std::move(semaphore)));
}

Result<FenceHandle> Timeline::fence(uint64_t step) const {
  FenceHandle fence;
  CONTINUO_RETURN_IF_ERROR(
      take("timeline",
           iree_hal_fence_create_at(semaphore_.get(), step, iree_allocator_system(), out(fence))));
  return fence;
}

Status Timeline::wait(uint64_t step) {
  if (step <= completed_) return {};
  const iree_status_t waited = iree_hal_semaphore_wait(
      semaphore_.get(), step, iree_infinite_timeout(), IREE_ASYNC_WAIT_FLAG_NONE);
  if (iree_status_is_ok(waited)) {
    completed_ = step;
    return {};
  }
  uint64_t value = 0;  // asked again for the whole message: a wait only says that it was aborted
  const iree_status_t failure = iree_hal_semaphore_query(semaphore_.get(), &value);
  if (iree_status_is_ok(failure)) return take("run", waited);
  iree_status_free(waited);
  return take("run", failure);
}

bool Timeline::failed() const {
  uint64_t value = 0;
  const iree_status_t status = iree_hal_semaphore_query(semaphore_.get(), &value);
  const bool failed = !iree_status_is_ok(status);
  iree_status_free(status);
  return failed;
}

Result<std::unique_ptr<Device>> Device::open(const ExecutorOptions& options) {
  std::unique_ptr<Device> device(new Device);
  device->driver_ = options.device.empty() ? "local-task" : options.device;
  CONTINUO_RETURN_IF_ERROR(
      take("IREE", iree_vm_instance_create(IREE_VM_TYPE_CAPACITY_DEFAULT, iree_allocator_system(),
                                           out(device->instance_))));
  CONTINUO_RETURN_IF_ERROR(
      take("IREE", iree_hal_module_register_all_types(device->instance_.get())));
  ProactorPoolHandle proactors;
  CONTINUO_RETURN_IF_ERROR(
      take("IREE", iree_async_proactor_pool_create(iree_numa_node_count(), nullptr,
                                                   iree_async_proactor_pool_options_default(),
                                                   iree_allocator_system(), out(proactors))));
  if (device->driver_ == "cuda")
    CONTINUO_RETURN_IF_ERROR(device->open_gpu(proactors.get()));
  else if (device->driver_ == "local-task" || device->driver_ == "local-sync")
    CONTINUO_RETURN_IF_ERROR(device->open_local(
        proactors.get(), options.threads > 0 ? options.threads : usable_cores()));
  else
    return error(ErrorCode::kUnsupported,
                 "executor iree: wanted device local-task, local-sync or cuda, got {}",
                 device->driver_);
  CONTINUO_RETURN_IF_ERROR(device->start());
  return device;
}

Device::~Device() {
  if (hal_ != nullptr) static_cast<void>(enter());
}

Status Device::enter() const { return on_host() ? Status() : enter_cuda(hal_.get()); }

Status Device::open_gpu(iree_async_proactor_pool_t* proactors) {
  CONTINUO_TRY(CudaDevice gpu, open_cuda(proactors));
  hal_ = std::move(gpu.hal);
  kind_ = std::move(gpu.name);
  cuda_capability_ = gpu.capability;
  memory_bytes_ = gpu.memory_bytes;
  return {};
}

Status Device::open_local(iree_async_proactor_pool_t* proactors, int threads) {
  kind_ = driver_;
  memory_bytes_ = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  const iree_allocator_t host = iree_allocator_system();
  LoaderHandle loader;
  CONTINUO_RETURN_IF_ERROR(
      take(driver_, iree_hal_embedded_elf_loader_create(nullptr, host, out(loader))));
  AllocatorHandle allocator;
  CONTINUO_RETURN_IF_ERROR(
      take(driver_, iree_hal_allocator_create_heap(IREE_SV("local"), host, host, out(allocator))));
  iree_hal_device_create_params_t create = iree_hal_device_create_params_default();
  create.proactor_pool = proactors;
  iree_hal_executable_loader_t* loaders[] = {loader.get()};

  if (driver_ == "local-sync") {
    iree_hal_sync_device_params_t params;
    iree_hal_sync_device_params_initialize(&params);
    return take(driver_, iree_hal_sync_device_create(view(driver_), &params, &create, 1, loaders,
                                                     allocator.get(), host, out(hal_)));
  }
  TaskExecutorHandle executor;
  CONTINUO_RETURN_IF_ERROR(create_task_executor(threads, executor));
  iree_task_executor_t* executors[] = {executor.get()};
  iree_hal_task_device_params_t params;
  iree_hal_task_device_params_initialize(&params);
  return take(driver_, iree_hal_task_device_create(view(driver_), &params, 1, executors, 1, loaders,
                                                   allocator.get(), &create, host, out(hal_)));
}

// What programs import, whichever device it is.
Status Device::start() {
  const iree_allocator_t host = iree_allocator_system();
  TrackerHandle tracker;
  CONTINUO_RETURN_IF_ERROR(
      take(driver_, iree_async_frontier_tracker_create(
                        iree_async_frontier_tracker_options_default(), host, out(tracker))));
  GroupHandle group;
  CONTINUO_RETURN_IF_ERROR(take(driver_, iree_hal_device_group_create_from_device(
                                             hal_.get(), tracker.get(), host, out(group))));
  return take(driver_,
              iree_hal_module_create(instance_.get(), iree_hal_module_device_policy_default(),
                                     group.get(), IREE_HAL_MODULE_FLAG_NONE,
                                     iree_hal_module_debug_sink_null(), host, out(hal_module_)));
}

Result<iree_hal_buffer_t*> Device::staging() {
  if (staging_ == nullptr) {
    const iree_hal_buffer_params_t params = {
        .usage = IREE_HAL_BUFFER_USAGE_TRANSFER | IREE_HAL_BUFFER_USAGE_MAPPING,
        .access = IREE_HAL_MEMORY_ACCESS_ALL,
        .type = IREE_HAL_MEMORY_TYPE_HOST_LOCAL | IREE_HAL_MEMORY_TYPE_HOST_CACHED |
                IREE_HAL_MEMORY_TYPE_DEVICE_VISIBLE,
    };
    CONTINUO_RETURN_IF_ERROR(take(
        "staging",
        iree_hal_allocator_allocate_buffer(allocator(), params, kStagingBytes, out(staging_))));
  }
  return staging_.get();
}

Result<std::shared_ptr<Timeline>> Device::timeline() {
  if (timeline_ == nullptr || timeline_->failed()) {
    CONTINUO_TRY(timeline_, Timeline::create(hal_.get()));
  }
  return timeline_;
}

}  // namespace continuo::runtime::iree
