// In builds whose IREE runtime has no CUDA driver, instead of cuda.cc.
#include "runtime/iree/cuda.h"

namespace continuo::runtime::iree {

Result<CudaDevice> open_cuda(iree_async_proactor_pool_t*) {
  return error(ErrorCode::kUnsupported,
               "executor iree: device cuda: this build's IREE has no CUDA driver; "
               "`make setup-iree-cuda` fetches and builds one, then build again");
}

Status enter_cuda(iree_hal_device_t*) { return {}; }

}  // namespace continuo::runtime::iree
