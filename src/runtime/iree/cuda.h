// IREE's CUDA driver, where the build has it (`make setup-iree-cuda`); no_cuda.cc says so
// elsewhere.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "runtime/iree/handle.h"

namespace continuo::runtime::iree {

struct CudaDevice {
  DeviceHandle hal;
  std::string name;          // "NVIDIA H100 80GB HBM3"
  int capability = 0;        // compute capability, 10 * major + minor
  int64_t memory_bytes = 0;  // 0 = unknown
};

// Opens the first GPU that CUDA shows. kUnsupported where the build has no driver, kUnavailable
// where the machine has no libcuda or no GPU.
Result<CudaDevice> open_cuda(iree_async_proactor_pool_t* proactors);

// Makes the context of `hal`, a CUDA device, the calling thread's. CUDA keeps one a thread, and
// IREE sets it on the thread that opens the device and on its own threads only.
Status enter_cuda(iree_hal_device_t* hal);

}  // namespace continuo::runtime::iree
