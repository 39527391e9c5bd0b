#include "measure/bandwidth.h"

#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

namespace continuo::measure {

double host_bandwidth() {
  const size_t count = size_t{1} << 27;  // 512 MiB of float32: far beyond any cache
  const std::vector<float> data(count, 1.0f);
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  double best = 0;
  volatile float sink = 0;
  for (int pass = 0; pass < 5; ++pass) {
    std::vector<float> sums(cores);
    std::vector<std::thread> threads;
    const auto start = std::chrono::steady_clock::now();
    for (size_t c = 0; c < cores; ++c)
      threads.emplace_back([&, c] {
        const auto* begin = data.data() + c * (count / cores);
        sums[c] = std::accumulate(begin, begin + count / cores, 0.0f);
      });
    for (std::thread& thread : threads) thread.join();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    sink = sink + sums[0];
    best = std::max(best, double(count * sizeof(float)) / seconds);
  }
  return best;
}

}  // namespace continuo::measure
