#include "measure/bandwidth.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <vector>

#include "base/host_tensor.h"

namespace continuo::measure {
namespace {

// Four sums: one would wait for its own last addition and not for the memory.
int64_t sum(std::span<const int64_t> values) {
  std::array<int64_t, 4> sums{};
  for (size_t i = 0; i + sums.size() <= values.size(); i += sums.size())
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += values[i + j];
  return sums[0] + sums[1] + sums[2] + sums[3];
}

}  // namespace

double host_bandwidth() {
  const HostTensor data(DType::kI64, {int64_t{1} << 26});  // 512 MiB: far beyond any cache
  const std::span<const int64_t> all = data.as<int64_t>();
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  double best = 0;
  volatile int64_t sink = 0;
  for (int pass = 0; pass < 5; ++pass) {
    std::vector<int64_t> sums(cores);
    std::vector<std::thread> threads;
    const auto start = std::chrono::steady_clock::now();
    for (size_t c = 0; c < cores; ++c)
      threads.emplace_back(
          [&, c] { sums[c] = sum(all.subspan(c * (all.size() / cores), all.size() / cores)); });
    for (std::thread& thread : threads) thread.join();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    sink = sink + sums[0];
    best = std::max(best, double(data.bytes()) / seconds);
  }
  return best;
}

}  // namespace continuo::measure
