// What every Executor promises (executor.h): the fixture of conformance_*_test.cc, which run on
// each executor registered here.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/executor.h"

namespace continuo::runtime {

struct Registered {
  const char* name;
  ExecutorOptions options;
};

inline const std::vector<Registered>& executors() {
  static const std::vector<Registered> all = {
      {"pjrt_cpu", {.plugin = CONTINUO_CPU_PLUGIN}},
      {"pjrt_cpu_alt", {.plugin = CONTINUO_CPU_PLUGIN_ALT}},
  };
  return all;
}

inline constexpr const char* kAdd = R"(
module @add {
  func.func public @main(%left: tensor<2x3xf32>, %right: tensor<2x3xf32>) -> tensor<2x3xf32> {
    %0 = stablehlo.add %left, %right : tensor<2x3xf32>
    return %0 : tensor<2x3xf32>
  }
})";

// Writes `row` at `at` into `state`, in place; also returns the row doubled.
inline constexpr const char* kWriteRow = R"(
module @write_row {
  func.func public @main(%state: tensor<5x4xf32> {tf.aliasing_output = 1 : i32},
                         %row: tensor<1x4xf32>, %at: tensor<i32>)
      -> (tensor<1x4xf32>, tensor<5x4xf32>) {
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %double = stablehlo.add %row, %row : tensor<1x4xf32>
    %new = stablehlo.dynamic_update_slice %state, %row, %at, %zero
        : (tensor<5x4xf32>, tensor<1x4xf32>, tensor<i32>, tensor<i32>) -> tensor<5x4xf32>
    return %double, %new : tensor<1x4xf32>, tensor<5x4xf32>
  }
})";

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}

inline HostTensor floats(Shape shape, std::vector<float> values) {
  return HostTensor::of<float>(DType::kF32, std::move(shape), values);
}

inline std::vector<float> values(const Buffer& buffer) {
  const HostTensor host = must(buffer.download());
  const auto span = host.as<float>();
  return {span.begin(), span.end()};
}

class Conformance : public testing::TestWithParam<Registered> {
 protected:
  static void TearDownTestSuite() { opened_.clear(); }

  Executor& executor() const {
    auto& slot = opened_[GetParam().name];
    if (slot == nullptr) slot = must(open_executor(GetParam().options));
    return *slot;
  }
  BufferPtr upload(const HostTensor& host) const {
    return must(executor().upload(host.view(), HostLifetime::kDuringCall));
  }
  BufferPtr upload_int(int32_t value) const {
    return upload(HostTensor::of<int32_t>(DType::kI32, {}, std::span<const int32_t>(&value, 1)));
  }
  ProgramPtr compile(const std::string& text) const { return must(executor().compile(text)); }
  static std::vector<BufferPtr> run(Program& program, std::vector<Buffer*> arguments) {
    return must(program.run(arguments));
  }
  static Error refusal(Program& program, std::vector<Buffer*> arguments) {
    const auto outputs = program.run(arguments);
    EXPECT_FALSE(outputs.ok());
    return outputs.ok() ? Error{} : outputs.error();
  }

 private:
  static inline std::map<std::string, std::unique_ptr<Executor>> opened_;
};

}  // namespace continuo::runtime
