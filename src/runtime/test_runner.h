// For tests: runs a Graph on the pinned CPU plugin (or what CONTINUO_PJRT_PLUGIN names), or on the
// executor that CONTINUO_TEST_EXECUTOR names.
#pragma once

#include <string>
#include <vector>

#include "base/host_tensor.h"
#include "graph/graph.h"
#include "runtime/executor.h"

namespace continuo::runtime {

// The process's executor for tests, opened at its first use. Aborts where there is none.
Executor& test_executor();

// Compiles and runs; inputs in the order of the graph's arguments. A failure throws
// std::runtime_error with the message.
std::vector<HostTensor> run_graph(const graph::Graph& graph,
                                  const std::vector<const HostTensor*>& inputs);

// float32 / int32 inputs from values.
HostTensor f32(Shape shape, const std::vector<float>& values);
HostTensor i32(Shape shape, const std::vector<int32_t>& values);
// Reproducible values in [low, high).
HostTensor random_f32(Shape shape, uint32_t seed, float low = -1, float high = 1);
std::vector<float> floats(const HostTensor& tensor);
// Largest |a - b|; infinity where sizes differ or a value is not a number.
double max_difference(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace continuo::runtime
