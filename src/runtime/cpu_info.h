// The host's CPU, as far as compiled code and thread pools depend on it.
#pragma once

#include <string>

namespace continuo::runtime {

// Model and instruction sets, from /proc/cpuinfo: code compiled for one CPU need not run on
// another. "unknown" where that file is not readable.
std::string cpu_features();

// Cores this process may use.
int usable_cores();

}  // namespace continuo::runtime
