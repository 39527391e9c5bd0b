#include "runtime/test_runner.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <stdexcept>

namespace continuo::runtime {
namespace {

template <typename T>
T take(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}

}  // namespace

Executor& test_executor() {
  static const std::unique_ptr<Executor> executor = [] {
    const char* name = std::getenv("CONTINUO_TEST_EXECUTOR");
    return take(open_executor({.executor = name == nullptr ? "pjrt" : name}));
  }();
  return *executor;
}

std::vector<HostTensor> run_graph(const graph::Graph& graph,
                                  const std::vector<const HostTensor*>& inputs) {
  Executor& executor = test_executor();
  const ProgramPtr program = take(executor.compile(graph.text()));
  std::vector<BufferPtr> buffers;
  std::vector<Buffer*> arguments;
  for (const HostTensor* input : inputs) {
    buffers.push_back(take(executor.upload(input->view(), HostLifetime::kDuringCall)));
    arguments.push_back(buffers.back().get());
  }
  std::vector<HostTensor> outputs;
  for (const BufferPtr& output : take(program->run(arguments)))
    outputs.push_back(take(output->download()));
  return outputs;
}

HostTensor f32(Shape shape, const std::vector<float>& values) {
  return HostTensor::of<float>(DType::kF32, std::move(shape), values);
}

HostTensor i32(Shape shape, const std::vector<int32_t>& values) {
  return HostTensor::of<int32_t>(DType::kI32, std::move(shape), values);
}

HostTensor random_f32(Shape shape, uint32_t seed, float low, float high) {
  std::mt19937 engine(seed);
  HostTensor tensor(DType::kF32, std::move(shape));
  for (float& value : tensor.as<float>())
    value = low + (high - low) * static_cast<float>(engine() >> 8) / static_cast<float>(1 << 24);
  return tensor;
}

std::vector<float> floats(const HostTensor& tensor) {
  const auto values = tensor.as<float>();
  return {values.begin(), values.end()};
}

double max_difference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double(a[i]) - double(b[i]));
    if (!(difference <= worst)) worst = std::isnan(difference) ? INFINITY : difference;
  }
  return worst;
}

}  // namespace continuo::runtime
