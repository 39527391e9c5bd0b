// What every Executor promises (executor.h): the fixture of conformance_*_test.cc, which run on
// each executor registered here.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/executor.h"
#include "runtime/pjrt/plugin.h"

namespace continuo::runtime {

// Tests by name, each with the reason.
using Exceptions = std::map<std::string, std::string>;

struct Registered {
  const char* name;
  ExecutorOptions options;
  graph::Target target;    // platform, linear_out_in and kv_write, as the executor should say
  Exceptions unsupported;  // what the runtime does not offer: not run
  Exceptions expected_to_fail{};  // what it should do and does not: run, and a pass is an error
};

inline void PrintTo(const Registered& executor, std::ostream* out) { *out << executor.name; }

#ifdef CONTINUO_IREE_COMPILER
inline const Exceptions kIreeOffersNot = {
    {"TwoDevicesRunOneProgram", "IREE cuts no program over devices by shardings"},
    {"ThreadCountIsPartOfTheKey", "IREE's code is the same for any number of threads"},
    {"LinearKernelIsTheProduct", "IREE gets none of our kernels"},
    {"LinearKernelTakesAnExpertInALoop", "IREE gets none of our kernels"},
    {"LinearKernelRefusesWhatDoesNotFit", "IREE gets none of our kernels"},
    {"LinearKernelSurvivesSerializing", "IREE gets none of our kernels"},
    {"AttentionKernelReadsItsRowsAlone", "IREE gets none of our kernels"},
    {"AttentionKernelRefusesWhatDoesNotFit", "IREE gets none of our kernels"},
};
#endif

inline const std::vector<Registered>& executors() {
  static const std::vector<Registered> all = [] {
    std::vector<Registered> each = {
        {"pjrt_cpu", {.plugin = CONTINUO_CPU_PLUGIN}, {.linear_out_in = true}, {}},
        {"pjrt_cpu_alt", {.plugin = CONTINUO_CPU_PLUGIN_ALT}, {.linear_out_in = true}, {}},
    };
#ifdef CONTINUO_IREE_COMPILER
    each.push_back({"iree_task", {.executor = "iree"}, {.linear_out_in = true}, kIreeOffersNot});
    each.push_back({"iree_sync",
                    {.executor = "iree", .device = "local-sync"},
                    {.linear_out_in = true},
                    kIreeOffersNot});
    each.back().unsupported["ThreadCountSizesThePool"] = "it has no threads of its own";
    each.back().expected_to_fail["AWriteIsReadBehindABarrier"] =
        "IREE copies the written array onto itself, which this device refuses";
#ifdef CONTINUO_IREE_CUDA
    if (pjrt::has_nvidia_gpu()) {
      each.push_back({"iree_cuda",
                      {.executor = "iree", .device = "cuda"},
                      {.platform = "cuda", .linear_out_in = true},
                      kIreeOffersNot});
      each.back().unsupported["ThreadCountSizesThePool"] = "it has no threads of its own";
      each.back().unsupported["AWriteIsReadBehindABarrier"] =
          "IREE copies the written array onto itself, which fails and ends the device's queue";
      each.back().expected_to_fail["ASlotIsCopiedIntoAnother"] =
          "IREE's compiler does not translate a copy within one array";
    }
#endif
#endif
    return each;
  }();
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

  void SetUp() override {
    std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
    test.resize(test.find('/'));
    const Registered& executor = GetParam();
    if (const auto why = executor.unsupported.find(test); why != executor.unsupported.end())
      GTEST_SKIP() << executor.name << ": " << why->second;
    if (executor.expected_to_fail.count(test) > 0)
      intercepted_ = std::make_unique<testing::ScopedFakeTestPartResultReporter>(
          testing::ScopedFakeTestPartResultReporter::INTERCEPT_ALL_THREADS, &failures_);
  }
  void TearDown() override {
    if (intercepted_ == nullptr) return;
    intercepted_.reset();
    int failed = 0;
    for (int i = 0; i < failures_.size(); ++i) failed += failures_.GetTestPartResult(i).failed();
    EXPECT_GT(failed, 0) << GetParam().name
                         << " passes now: take it off the table in conformance.h";
  }

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
  testing::TestPartResultArray failures_;  // of a test that is expected to fail
  std::unique_ptr<testing::ScopedFakeTestPartResultReporter> intercepted_;
};

}  // namespace continuo::runtime
