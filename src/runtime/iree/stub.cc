// In builds without IREE, instead of the other files of this folder.
#include "runtime/iree/iree_executor.h"

namespace continuo::runtime::iree {

Result<std::unique_ptr<Executor>> open(const ExecutorOptions&) {
  return error(
      ErrorCode::kUnsupported,
      "executor iree: this build has none; `make setup-iree` fetches and builds IREE, then "
      "build again");
}

}  // namespace continuo::runtime::iree
