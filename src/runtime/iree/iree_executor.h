// Executor over IREE: its compiler from a pinned library, its runtime linked in.
#pragma once

#include <memory>

#include "runtime/executor.h"

namespace continuo::runtime::iree {

// Loads the compiler (`options.plugin`, else $CONTINUO_IREE_COMPILER, else the build's) and opens
// `options.device`: "local-task" (a pool of `options.threads`, the default), "local-sync" (the
// calling thread), "cuda" (the first GPU, where the build has IREE's CUDA driver).
Result<std::unique_ptr<Executor>> open(const ExecutorOptions& options);

}  // namespace continuo::runtime::iree
