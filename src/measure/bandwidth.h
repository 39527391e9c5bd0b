// How fast memory can be read: the floor that a decode step is compared with.
#pragma once

#include "base/result.h"
#include "runtime/executor.h"

namespace continuo::measure {

// Of the host in bytes a second, all cores: the best of several passes.
double host_bandwidth();

// Of the executor's device: the host's on a CPU, else of adding 1 to a large array in place, read
// and written.
Result<double> bandwidth(runtime::Executor& executor);

}  // namespace continuo::measure
