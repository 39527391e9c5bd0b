#include <algorithm>
#include <chrono>

#include "graph/elementwise.h"
#include "graph/graph.h"
#include "graph/shaping.h"
#include "measure/bandwidth.h"

namespace continuo::measure {

Result<double> bandwidth(runtime::Executor& executor) {
  if (executor.info().platform == "cpu") return host_bandwidth();
  constexpr int64_t kElements = int64_t{1} << 28;
  constexpr int kRuns = 10;
  graph::Graph graph("add_one");
  const graph::Value array = graph.argument("array", DType::kF32, {kElements});
  const graph::Value next = array + 1.0;
  graph.output(graph::slice(next, 0, 0, 1));
  graph.output(next, 0);
  CONTINUO_TRY(const runtime::ProgramPtr program, executor.compile(graph.text()));
  CONTINUO_TRY(runtime::BufferPtr buffer, executor.zeros(DType::kF32, {kElements}));
  double best = 0;
  for (int pass = 0; pass < 4; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    runtime::BufferPtr first;
    for (int i = 0; i < kRuns; ++i) {
      runtime::Buffer* argument = buffer.get();
      CONTINUO_TRY(auto outputs, program->run({&argument, 1}));
      first = std::move(outputs[0]);
      buffer = std::move(outputs[1]);
    }
    CONTINUO_TRY([[maybe_unused]] const HostTensor wait, first->download());
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * kRuns * double(kElements * 4) / seconds.count());
  }
  return best;
}

}  // namespace continuo::measure
