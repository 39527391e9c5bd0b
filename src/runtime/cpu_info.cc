#include "runtime/cpu_info.h"

#include <sched.h>

#include <fstream>
#include <thread>

namespace continuo::runtime {

std::string cpu_features() {
  std::ifstream file("/proc/cpuinfo");
  std::string features, line;
  while (std::getline(file, line) && !line.empty())  // the first processor's block
    for (const char* key : {"vendor_id", "cpu family", "model", "stepping", "flags", "Features"})
      if (line.starts_with(std::string(key) + '\t') || line.starts_with(std::string(key) + ' '))
        features += line.substr(line.find(':') + 1) + ';';
  return features.empty() ? "unknown" : features;
}

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace continuo::runtime
