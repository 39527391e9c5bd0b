// Executors compute, donate and move arrays as executor.h says.
#include "runtime/conformance.h"

#include <algorithm>
#include <cstring>

namespace continuo::runtime {
namespace {

using testing::ElementsAre;

INSTANTIATE_TEST_SUITE_P(Executors, Conformance, testing::ValuesIn(executors()),
                         [](const auto& each) { return std::string(each.param.name); });

std::string identity(const std::string& type) {
  return fmt::format("module {{ func.func public @main(%x: {0}) -> {0} {{ return %x : {0} }} }}",
                     type);
}

TEST_P(Conformance, DescribesItself) {
  const DeviceInfo& info = executor().info();
  EXPECT_EQ(info.executor, GetParam().options.executor);
  EXPECT_EQ(info.platform, GetParam().target.platform);
  EXPECT_FALSE(info.device_kind.empty());
  EXPECT_FALSE(info.version.empty());
  EXPECT_EQ(info.cpu_features.empty(), info.platform != "cpu");
  EXPECT_EQ(info.devices, 1);
  EXPECT_GT(info.memory_bytes, int64_t{1} << 28);
  const graph::Target target = executor().target();
  EXPECT_EQ(target.weights, DType::kF32);
  EXPECT_EQ(target.kv, DType::kF32);
  EXPECT_EQ(target.linear_out_in, GetParam().target.linear_out_in);
  EXPECT_EQ(target.kv_write, GetParam().target.kv_write);
}

TEST_P(Conformance, Computes) {
  auto program = compile(kAdd);
  EXPECT_EQ(program->arguments(), 2u);
  EXPECT_EQ(program->outputs(), 1u);
  auto left = upload(floats({2, 3}, {1, 2, 3, 4, 5, 6}));
  auto right = upload(floats({2, 3}, {10, 20, 30, 40, 50, 60}));
  const auto sum = run(*program, {left.get(), right.get()});
  EXPECT_THAT(values(*sum[0]), ElementsAre(11, 22, 33, 44, 55, 66));
  EXPECT_EQ(sum[0]->shape(), (Shape{2, 3}));
  const auto twice = run(*program, {left.get(), left.get()});
  EXPECT_THAT(values(*twice[0]), ElementsAre(2, 4, 6, 8, 10, 12));
}

// XLA may choose a transposed layout; what comes back is row-major.
TEST_P(Conformance, DownloadsRowMajor) {
  auto program = compile(R"(module {
    func.func public @main(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
      %0 = stablehlo.transpose %x, dims = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
      return %0 : tensor<3x2xf32>
    } })");
  auto x = upload(floats({2, 3}, {1, 2, 3, 4, 5, 6}));
  EXPECT_THAT(values(*run(*program, {x.get()})[0]), ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST_P(Conformance, ArgumentsMayBeFreedRightAfterRun) {
  auto program = compile(kAdd);
  std::vector<BufferPtr> sum;
  {
    const HostTensor host = floats({2, 3}, {1, 2, 3, 4, 5, 6});
    auto left = must(executor().upload(host.view(), HostLifetime::kBuffer));
    sum = run(*program, {left.get(), left.get()});
  }
  EXPECT_THAT(values(*sum[0]), ElementsAre(2, 4, 6, 8, 10, 12));
}

TEST_P(Conformance, DonationWritesInPlaceAndChains) {
  auto program = compile(kWriteRow);
  auto state = must(executor().zeros(DType::kF32, {5, 4}));
  for (int32_t at : {3, 1}) {
    const auto value = static_cast<float>(at);
    auto row = upload(floats({1, 4}, {value, value, value, value}));
    auto where = upload_int(at);
    auto outputs = run(*program, {state.get(), row.get(), where.get()});
    EXPECT_THAT(values(*outputs[0]), ElementsAre(2 * value, 2 * value, 2 * value, 2 * value));
    state = std::move(outputs[1]);
  }
  EXPECT_THAT(values(*state),
              ElementsAre(0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 3, 3, 3, 3, 0, 0, 0, 0));
}

TEST_P(Conformance, EveryTypeSurvivesTheRoundTrip) {
  for (const DType dtype :
       {DType::kPred, DType::kI8, DType::kU8, DType::kI16, DType::kU16, DType::kI32, DType::kU32,
        DType::kI64, DType::kU64, DType::kF16, DType::kBF16, DType::kF32, DType::kF64}) {
    HostTensor host(dtype, {3, 5});
    for (size_t i = 0; i < host.bytes(); ++i)
      host.data()[i] = static_cast<std::byte>(dtype == DType::kPred ? i % 2 : i % 100);
    auto program = compile(identity(fmt::format("tensor<3x5x{}>", dtype)));
    auto buffer = upload(host);
    const auto output = run(*program, {buffer.get()});
    EXPECT_EQ(output[0]->dtype(), dtype);
    const HostTensor back = must(output[0]->download());
    EXPECT_EQ(std::memcmp(back.data(), host.data(), host.bytes()), 0) << name(dtype);

    const HostTensor zero = must(must(executor().zeros(dtype, {3, 5}))->download());
    EXPECT_EQ(std::count(zero.data(), zero.data() + zero.bytes(), std::byte{0}),
              static_cast<ptrdiff_t>(zero.bytes()))
        << name(dtype);
  }
}

TEST_P(Conformance, ArraysWithoutElements) {
  auto program = compile(identity("tensor<3x0x2xf32>"));
  for (auto& buffer :
       {upload(HostTensor(DType::kF32, {3, 0, 2})),
        must(executor().upload({DType::kF32, {3, 0, 2}, nullptr}, HostLifetime::kBuffer)),
        must(executor().zeros(DType::kF32, {3, 0, 2}))}) {
    const auto output = run(*program, {buffer.get()});
    EXPECT_EQ(output[0]->shape(), (Shape{3, 0, 2}));
    EXPECT_EQ(must(output[0]->download()).bytes(), 0u);
  }
}

TEST_P(Conformance, LargeArrays) {
  constexpr int64_t kCount = 70 << 20;  // 280 MB
  const std::string type = fmt::format("tensor<{}xf32>", kCount);
  auto program = compile(fmt::format(
      R"(module {{ func.func public @main(%x: {0} {{tf.aliasing_output = 0 : i32}}) -> {0} {{
        %0 = stablehlo.add %x, %x : {0}
        return %0 : {0} }} }})",
      type));
  HostTensor host(DType::kF32, {kCount});
  for (int64_t i = 0; i < kCount; ++i)
    host.as<float>()[static_cast<size_t>(i)] = static_cast<float>(i % 1000003);
  for (const bool aligned : {true, false}) {
    const HostView view{
        DType::kF32, {kCount - !aligned}, host.data() + (aligned ? 0 : sizeof(float))};
    auto borrowed = must(executor().upload(view, HostLifetime::kBuffer));
    const HostTensor back = must(borrowed->download());
    EXPECT_EQ(std::memcmp(back.data(), view.data, view.bytes()), 0) << aligned;
  }
  auto buffer = upload(host);
  host.as<float>()[kCount - 1] = -1;  // kDuringCall: no longer read
  const auto output = run(*program, {buffer.get()});
  const HostTensor doubled = must(output[0]->download());
  for (const int64_t i : {int64_t{0}, int64_t{1234567}, kCount - 1})
    EXPECT_EQ(doubled.as<float>()[static_cast<size_t>(i)], 2 * static_cast<float>(i % 1000003));
}

}  // namespace
}  // namespace continuo::runtime
