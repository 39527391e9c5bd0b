// Executor over any PJRT plugin (XLA's C interface), loaded at run time.
#pragma once

#include <memory>

#include "runtime/executor.h"

namespace continuo::runtime::pjrt {

// Finds and loads the plugin (plugin.h) and opens its first `options.devices` devices.
Result<std::unique_ptr<Executor>> open(const ExecutorOptions& options);

}  // namespace continuo::runtime::pjrt
