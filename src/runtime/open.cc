#include "runtime/executor.h"
#include "runtime/iree/iree_executor.h"
#include "runtime/pjrt/pjrt_executor.h"

namespace continuo::runtime {

Result<std::unique_ptr<Executor>> open_executor(const ExecutorOptions& options) {
  if (options.executor == "pjrt") return pjrt::open(options);
  if (options.executor == "iree") return iree::open(options);
  return error(ErrorCode::kUnsupported, "executor {}: wanted pjrt or iree", options.executor);
}

}  // namespace continuo::runtime
