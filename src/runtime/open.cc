#include "runtime/executor.h"
#include "runtime/pjrt/pjrt_executor.h"

namespace continuo::runtime {

Result<std::unique_ptr<Executor>> open_executor(const ExecutorOptions& options) {
  if (options.executor == "pjrt") return pjrt::open(options);
  return error(ErrorCode::kUnsupported, "executor {}: this build has pjrt", options.executor);
}

}  // namespace continuo::runtime
