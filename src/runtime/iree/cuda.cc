#include "runtime/iree/cuda.h"

#include <iree/hal/drivers/cuda/api.h>
#include <iree/hal/drivers/cuda/cuda_dynamic_symbols.h>

#include <array>
#include <limits>

// In IREE's cuda_device.h, which wants NCCL's headers and the whole CUDA toolkit besides.
extern "C" {
CUcontext iree_hal_cuda_device_context(iree_hal_device_t* device);
const iree_hal_cuda_dynamic_symbols_t* iree_hal_cuda_device_dynamic_symbols(
    iree_hal_device_t* device);
}

namespace continuo::runtime::iree {
namespace {

using DriverHandle = Handle<iree_hal_driver_t, iree_hal_driver_release>;

constexpr std::string_view kWanted =
    "executor iree: device cuda: wanted NVIDIA's driver (libcuda.so.1) and a GPU";

Result<DriverHandle> create_driver() {
  iree_hal_cuda_driver_options_t options;
  iree_hal_cuda_driver_options_initialize(&options);
  iree_hal_cuda_device_params_t params;
  iree_hal_cuda_device_params_initialize(&params);
  // IREE records a program's commands anew for each run: as a CUDA graph each would be
  // instantiated.
  params.command_buffer_mode = IREE_HAL_CUDA_COMMAND_BUFFER_MODE_STREAM;
  // Temporary arrays of one run serve the next, instead of going back to the driver in between.
  params.memory_pools.device_local.release_threshold = std::numeric_limits<uint64_t>::max();
  DriverHandle driver;
  CONTINUO_RETURN_IF_ERROR(
      take(kWanted, iree_hal_cuda_driver_create(IREE_SV("cuda"), &options, &params,
                                                iree_allocator_system(), out(driver))));
  return driver;
}

// IREE's table of the driver's functions lacks this one.
int64_t total_memory(const iree_hal_cuda_dynamic_symbols_t& cuda, CUdevice device) {
  constexpr int kVersion = 11030;  // of the API, as IREE itself asks
  CUresult (*total)(size_t*, CUdevice) = nullptr;
  void* found = nullptr;
  if (cuda.cuGetProcAddress("cuDeviceTotalMem", &found, kVersion, CU_GET_PROC_ADDRESS_DEFAULT) !=
          CUDA_SUCCESS ||
      found == nullptr)
    return 0;
  total = reinterpret_cast<decltype(total)>(found);
  size_t bytes = 0;
  return total(&bytes, device) == CUDA_SUCCESS ? static_cast<int64_t>(bytes) : 0;
}

}  // namespace

Result<CudaDevice> open_cuda(iree_async_proactor_pool_t* proactors) {
  CONTINUO_TRY(const DriverHandle driver, create_driver());
  iree_hal_device_create_params_t create = iree_hal_device_create_params_default();
  create.proactor_pool = proactors;
  CudaDevice opened;
  CONTINUO_RETURN_IF_ERROR(take(
      kWanted, iree_hal_driver_create_device_by_ordinal(driver.get(), 0, 0, nullptr, &create,
                                                        iree_allocator_system(), out(opened.hal))));

  const auto& cuda = *iree_hal_cuda_device_dynamic_symbols(opened.hal.get());
  CUdevice device = 0;
  int major = 0, minor = 0;
  std::array<char, 256> name{};
  for (const CUresult result :
       {cuda.cuDeviceGet(&device, 0),
        cuda.cuDeviceGetName(name.data(), static_cast<int>(name.size()) - 1, device),
        cuda.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device),
        cuda.cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)})
    if (result != CUDA_SUCCESS)
      return error(ErrorCode::kUnavailable, "{}: it does not describe itself: CUDA error {}",
                   kWanted, static_cast<int>(result));
  opened.name = name.data();
  opened.capability = 10 * major + minor;
  opened.memory_bytes = total_memory(cuda, device);
  return opened;
}

Status enter_cuda(iree_hal_device_t* hal) {
  const auto& cuda = *iree_hal_cuda_device_dynamic_symbols(hal);
  const CUresult result = cuda.cuCtxSetCurrent(iree_hal_cuda_device_context(hal));
  if (result == CUDA_SUCCESS) return {};
  return error(ErrorCode::kUnavailable, "device cuda: cuCtxSetCurrent: CUDA error {}",
               static_cast<int>(result));
}

}  // namespace continuo::runtime::iree
