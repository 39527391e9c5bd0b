// Threads, serialized programs and several devices.
#include "runtime/conformance.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <thread>

namespace continuo::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_P(Conformance, ThreadsCompileAtOnce) {
  constexpr int kThreads = 4;
  Executor& shared = executor();
  std::vector<Result<ProgramPtr>> programs;
  for (int i = 0; i < kThreads; ++i) programs.emplace_back(Error{});
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&shared, &programs, i] {
      programs[static_cast<size_t>(i)] = shared.compile(fmt::format(
          R"(module {{ func.func public @main(%x: tensor<{0}xf32>) -> tensor<{0}xf32> {{
            %0 = stablehlo.multiply %x, %x : tensor<{0}xf32>
            return %0 : tensor<{0}xf32> }} }})",
          i + 1));
    });
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kThreads; ++i) {
    auto program = must(std::move(programs[static_cast<size_t>(i)]));
    const auto count = static_cast<size_t>(i + 1);
    auto x = upload(floats({i + 1}, std::vector<float>(count, 3)));
    EXPECT_EQ(values(*run(*program, {x.get()})[0]), std::vector<float>(count, 9));
  }
}

TEST_P(Conformance, ProgramsSerialize) {
  const std::string bytes = must(compile(kWriteRow)->serialize());
  auto program = must(executor().deserialize(std::as_bytes(std::span(bytes))));
  EXPECT_EQ(program->arguments(), 3u);
  auto state = must(executor().zeros(DType::kF32, {5, 4}));
  auto row = upload(floats({1, 4}, {1, 2, 3, 4}));
  auto at = upload_int(4);
  EXPECT_THAT(refusal(*program, {row.get(), row.get(), at.get()}).message,
              HasSubstr("argument 0 (%state): wanted f32[5,4], got f32[1,4]"));
  const auto outputs = run(*program, {state.get(), row.get(), at.get()});
  EXPECT_EQ(values(*outputs[1])[17], 2);
  EXPECT_FALSE(state->download().ok()) << "donation survives";
}

size_t threads_of_this_process() {
  std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<size_t>(std::distance(tasks, std::filesystem::directory_iterator()));
}

TEST_P(Conformance, ThreadCountSizesThePool) {
  ExecutorOptions options = GetParam().options;
  const auto open_with = [&](int threads) {
    options.threads = threads;
    return must(open_executor(options));
  };
  open_with(1);  // what the plugin starts once a process is there now
  const size_t before = threads_of_this_process();
  auto narrow = open_with(1);
  const size_t one = threads_of_this_process() - before;
  auto wide = open_with(9);
  const size_t nine = threads_of_this_process() - before - one;
  EXPECT_GE(nine, one + 8);
  EXPECT_EQ(std::getenv("PJRT_NPROC"), nullptr) << "set while opening only";
}

TEST_P(Conformance, ThreadCountIsPartOfTheKey) {
  ExecutorOptions options = GetParam().options;
  options.threads = 1;
  const std::string narrow = must(open_executor(options))->options_key();
  options.threads = 9;
  EXPECT_NE(narrow, must(open_executor(options))->options_key());
}

// Tensor parallelism: the graph names shardings on its arguments, the executor does the rest.
constexpr const char* kSharded = R"(
module @sharded attributes {mhlo.num_partitions = 2 : i32} {
  sdy.mesh @mesh = <["x"=2]>
  func.func public @main(
      %x: tensor<1x4xf32>,
      %w: tensor<4x6xf32> {sdy.sharding = #sdy.sharding<@mesh, [{}, {"x"}]>},
      %state: tensor<2x6xf32> {sdy.sharding = #sdy.sharding<@mesh, [{}, {"x"}]>,
                               tf.aliasing_output = 1 : i32})
      -> (tensor<1xf32>, tensor<2x6xf32>) {
    %y = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0]
        : (tensor<1x4xf32>, tensor<4x6xf32>) -> tensor<1x6xf32>
    %one = stablehlo.constant dense<1> : tensor<i32>
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %new = stablehlo.dynamic_update_slice %state, %y, %one, %zero
        : (tensor<2x6xf32>, tensor<1x6xf32>, tensor<i32>, tensor<i32>) -> tensor<2x6xf32>
    %init = stablehlo.constant dense<0.0> : tensor<f32>
    %sum = stablehlo.reduce(%y init: %init) applies stablehlo.add across dimensions = [1]
        : (tensor<1x6xf32>, tensor<f32>) -> tensor<1xf32>
    return %sum, %new : tensor<1xf32>, tensor<2x6xf32>
  }
})";

TEST_P(Conformance, TwoDevicesRunOneProgram) {
  ExecutorOptions options = GetParam().options;
  options.devices = 2;
  auto pair = must(open_executor(options));
  ASSERT_EQ(pair->info().devices, 2);
  auto program = must(pair->compile(kSharded));
  const HostTensor x = floats({1, 4}, {1, 2, 3, 4});
  HostTensor w(DType::kF32, {4, 6});
  std::iota(w.as<float>().begin(), w.as<float>().end(), 0.0f);
  auto x_device = must(pair->upload(x.view(), HostLifetime::kDuringCall));
  auto w_device = must(pair->upload(w.view(), HostLifetime::kDuringCall, Placement{1}));
  EXPECT_EQ(values(*w_device), std::vector<float>(w.as<float>().begin(), w.as<float>().end()));
  auto state = must(pair->zeros(DType::kF32, {2, 6}, Placement{1}));
  for (int step = 0; step < 2; ++step) {
    auto outputs =
        must(program->run(std::vector<Buffer*>{x_device.get(), w_device.get(), state.get()}));
    EXPECT_THAT(values(*outputs[0]), ElementsAre(870));
    state = std::move(outputs[1]);
    EXPECT_THAT(values(*state), ElementsAre(0, 0, 0, 0, 0, 0, 120, 130, 140, 150, 160, 170));
  }
  EXPECT_FALSE(pair->upload(x.view(), HostLifetime::kDuringCall, Placement{0}).ok())
      << "one row cannot be cut in two";
}

}  // namespace
}  // namespace continuo::runtime
