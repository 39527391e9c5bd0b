// For this folder's tests: a graph built from numbers, run on both CPU plugins, read as numbers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/half.h"
#include "base/host_tensor.h"
#include "graph/graph.h"
#include "runtime/executor.h"

namespace continuo::graph {

using Numbers = std::vector<double>;

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}

// Calls visit(T{}) with the type that stores an element; f16 and bf16 as uint16_t bits.
template <typename Visit>
void with_storage(DType dtype, const Visit& visit) {
  switch (dtype) {
    case DType::kPred:
    case DType::kU8:
      return visit(uint8_t{});
    case DType::kI8:
      return visit(int8_t{});
    case DType::kI16:
      return visit(int16_t{});
    case DType::kU16:
    case DType::kF16:
    case DType::kBF16:
      return visit(uint16_t{});
    case DType::kI32:
      return visit(int32_t{});
    case DType::kU32:
      return visit(uint32_t{});
    case DType::kI64:
      return visit(int64_t{});
    case DType::kU64:
      return visit(uint64_t{});
    case DType::kF32:
      return visit(float{});
    case DType::kF64:
      return visit(double{});
  }
}

inline HostTensor tensor_of(DType dtype, Shape shape, const Numbers& numbers) {
  HostTensor tensor(dtype, std::move(shape));
  with_storage(dtype, [&](auto zero) {
    using T = decltype(zero);
    for (size_t i = 0; i < numbers.size(); ++i)
      tensor.as<T>()[i] = dtype == DType::kF16    ? T(f32_to_f16(float(numbers[i])))
                          : dtype == DType::kBF16 ? T(f32_to_bf16(float(numbers[i])))
                                                  : T(numbers[i]);
  });
  return tensor;
}

inline Numbers numbers_of(const HostTensor& tensor) {
  Numbers numbers;
  with_storage(tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (T value : tensor.as<T>())
      numbers.push_back(tensor.dtype() == DType::kF16    ? f16_to_f32(uint16_t(value))
                        : tensor.dtype() == DType::kBF16 ? bf16_to_f32(uint16_t(value))
                                                         : double(value));
  });
  return numbers;
}

// The message of the check that `build` fails; "" where it does not.
inline std::string refusal(const std::function<void()>& build) {
  try {
    build();
  } catch (const CheckFailure& failure) {
    return failure.what();
  }
  return "";
}

// A test's own graph, whose inputs carry their numbers. The parameter is a plugin's file.
class OnPlugin : public testing::TestWithParam<const char*> {
 protected:
  // Not at exit: a plugin's own statics may be gone by then.
  static void TearDownTestSuite() { opened_.clear(); }

  // Arguments, not constants: XLA would fold those with another implementation than the device's.
  Value in(DType dtype, Shape shape, const Numbers& numbers) {
    inputs_.push_back(tensor_of(dtype, shape, numbers));
    return g.argument("x" + std::to_string(inputs_.size()), dtype, std::move(shape));
  }
  Value floats(const Numbers& numbers) {
    return in(DType::kF32, {static_cast<int64_t>(numbers.size())}, numbers);
  }
  Value ints(const Numbers& numbers) {
    return in(DType::kI32, {static_cast<int64_t>(numbers.size())}, numbers);
  }
  Value scalar(double number) { return in(DType::kI32, {}, {number}); }

  // Runs the graph, with these outputs or those it has; checks that each came back as the type
  // inference said.
  std::vector<Numbers> run(const std::vector<Value>& outputs) {
    for (Value output : outputs) g.output(output);
    return run_declared();
  }
  Numbers run(Value output) { return run(std::vector<Value>{output})[0]; }
  std::vector<Numbers> run_declared() {
    runtime::Executor& device = executor();
    const auto program = must(device.compile(g.text()));
    std::vector<runtime::BufferPtr> buffers;
    std::vector<runtime::Buffer*> arguments;
    for (const HostTensor& input : inputs_) {
      buffers.push_back(must(device.upload(input.view(), runtime::HostLifetime::kDuringCall)));
      arguments.push_back(buffers.back().get());
    }
    const auto results = must(program->run(arguments));
    std::vector<Numbers> numbers;
    for (size_t i = 0; i < results.size(); ++i) {
      const HostTensor host = must(results[i]->download());
      EXPECT_EQ((Type{host.dtype(), host.shape()}.str()), g.outputs()[i].type().str());
      numbers.push_back(numbers_of(host));
    }
    return numbers;
  }

  Graph g;

 private:
  static runtime::Executor& executor() {
    auto& slot = opened_[GetParam()];
    if (slot == nullptr) slot = must(runtime::open_executor({.plugin = GetParam()}));
    return *slot;
  }
  static inline std::map<std::string, std::unique_ptr<runtime::Executor>> opened_;
  std::vector<HostTensor> inputs_;
};

inline std::string plugin_name(const testing::TestParamInfo<const char*>& plugin) {
  return plugin.index == 0 ? "cpu" : "cpu_alt";
}

// Instantiates a suite derived from OnPlugin.
#define CONTINUO_ON_BOTH_PLUGINS(suite) \
  INSTANTIATE_TEST_SUITE_P(             \
      Plugins, suite, testing::Values(CONTINUO_CPU_PLUGIN, CONTINUO_CPU_PLUGIN_ALT), plugin_name)

}  // namespace continuo::graph
