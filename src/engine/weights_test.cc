#include "engine/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/half.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_test_files.h"
#include "engine/fake_executor_test.h"

namespace continuo::engine {
namespace {

using checkpoint::testing_files::Builder;
using checkpoint::testing_files::Folder;
using ops::WeightSpec;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Not;

std::vector<float> count_to(size_t size) {
  std::vector<float> values(size);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

class WeightsTest : public testing::Test {
 protected:
  // Opens a folder with these tensors; `padding` shifts their alignment in the file.
  const checkpoint::TensorSource& open(const Builder& builder, size_t padding = 0) {
    folder_.write("config.json", "{}");
    folder_.write("model.safetensors", builder.bytes(padding));
    auto opened = checkpoint::open(folder_.path());
    if (!opened.ok()) throw std::runtime_error(opened.error().message);
    checkpoint_ = std::move(opened).value();
    return *checkpoint_.tensors;
  }
  static HostTensor assembled(const checkpoint::TensorSource& source, const WeightSpec& spec) {
    auto tensor = assemble(source, spec);
    if (!tensor.ok()) throw std::runtime_error(tensor.error().message);
    EXPECT_EQ(tensor->shape(), spec.shape);
    EXPECT_EQ(tensor->dtype(), spec.dtype);
    return std::move(tensor).value();
  }
  static std::vector<float> floats(const HostTensor& tensor) {
    const auto values = tensor.as<float>();
    return {values.begin(), values.end()};
  }
  static std::vector<uint16_t> halves(const HostTensor& tensor) {
    const auto values = tensor.as<uint16_t>();
    return {values.begin(), values.end()};
  }

  Folder folder_;
  checkpoint::Checkpoint checkpoint_;
  FakeExecutor executor_;
};

TEST_F(WeightsTest, Transposes) {
  const auto& source = open(Builder().add("w", "F32", {2, 3}, count_to(6)));
  EXPECT_THAT(floats(assembled(source, {"w", DType::kF32, {2, 3}, {"w"}, {2, 3}, false})),
              ElementsAreArray(count_to(6)));
  EXPECT_THAT(floats(assembled(source, {"w", DType::kF32, {3, 2}, {"w"}, {2, 3}, true})),
              ElementsAre(0, 3, 1, 4, 2, 5));
}

// Larger than a tile in both directions, and no multiple of one.
TEST_F(WeightsTest, TransposesLargeMatrices) {
  constexpr int64_t kRows = 67, kColumns = 41;
  const auto& source =
      open(Builder().add("w", "F32", {2, kRows, kColumns}, count_to(2 * kRows * kColumns)));
  const auto turned = floats(assembled(
      source, {"w", DType::kF32, {2, kColumns, kRows}, {"w"}, {2, kRows, kColumns}, true}));
  for (int64_t m = 0; m < 2; ++m)
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t c = 0; c < kColumns; ++c)
        ASSERT_EQ(turned[size_t((m * kColumns + c) * kRows + r)],
                  float((m * kRows + r) * kColumns + c));
}

TEST_F(WeightsTest, StacksSources) {
  const auto& source = open(Builder()
                                .add("a", "F32", {2, 3}, count_to(6))
                                .add("b", "F32", {2, 3}, std::vector<float>{6, 7, 8, 9, 10, 11}));
  EXPECT_THAT(floats(assembled(source, {"ab", DType::kF32, {2, 2, 3}, {"a", "b"}, {2, 3}, false})),
              ElementsAreArray(count_to(12)));
  EXPECT_THAT(floats(assembled(source, {"ba", DType::kF32, {2, 3, 2}, {"b", "a"}, {2, 3}, true})),
              ElementsAre(6, 9, 7, 10, 8, 11, 0, 3, 1, 4, 2, 5));
}

// Bits that no conversion would give back: NaN payloads and subnormals.
TEST_F(WeightsTest, SixteenBitElementsMoveAsTheyAre) {
  const std::vector<uint16_t> bits{0x0001, 0x7fc1, 0xff81, 0x8000, 0x7c01, 0x1234};
  for (size_t padding : {0, 1}) {
    const auto& source =
        open(Builder().add("b", "BF16", {2, 3}, bits).add("h", "F16", {2, 3}, bits), padding);
    for (const auto& [name, dtype] : {std::pair{"b", DType::kBF16}, std::pair{"h", DType::kF16}}) {
      EXPECT_THAT(halves(assembled(source, {name, dtype, {2, 3}, {name}, {2, 3}, false})),
                  ElementsAreArray(bits));
      EXPECT_THAT(halves(assembled(source, {name, dtype, {3, 2}, {name}, {2, 3}, true})),
                  ElementsAre(bits[0], bits[3], bits[1], bits[4], bits[2], bits[5]));
    }
  }
}

TEST_F(WeightsTest, ConvertsBetweenFloats) {
  const std::vector<float> values{1.00390625f, -2, 1e-8f, 70000, 3, 0.1f};
  std::vector<uint16_t> bf16, f16;
  for (float value : values) {
    bf16.push_back(f32_to_bf16(value));
    f16.push_back(f32_to_f16(value));
  }
  const auto& source = open(Builder()
                                .add("f", "F32", {2, 3}, values)
                                .add("b", "BF16", {2, 3}, bf16)
                                .add("h", "F16", {2, 3}, f16));
  EXPECT_THAT(halves(assembled(source, {"f", DType::kBF16, {2, 3}, {"f"}, {2, 3}, false})),
              ElementsAreArray(bf16));
  EXPECT_THAT(halves(assembled(source, {"f", DType::kF16, {2, 3}, {"f"}, {2, 3}, false})),
              ElementsAreArray(f16));
  EXPECT_THAT(halves(assembled(source, {"f", DType::kBF16, {3, 2}, {"f"}, {2, 3}, true})),
              ElementsAre(bf16[0], bf16[3], bf16[1], bf16[4], bf16[2], bf16[5]));
  const auto wide = floats(assembled(source, {"b", DType::kF32, {2, 3}, {"b"}, {2, 3}, false}));
  for (size_t i = 0; i < wide.size(); ++i) EXPECT_EQ(wide[i], bf16_to_f32(bf16[i]));
  const auto half = floats(assembled(source, {"h", DType::kF32, {2, 3}, {"h"}, {2, 3}, false}));
  for (size_t i = 0; i < half.size(); ++i) EXPECT_EQ(half[i], f16_to_f32(f16[i]));
}

TEST_F(WeightsTest, AssembleReportsWhatItCannotMake) {
  const auto& source = open(Builder().add("w", "F32", {2}, count_to(2)));
  auto missing = assemble(source, {"v", DType::kF32, {2}, {"v"}, {2}, false});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().message, "tensor v is missing");
  auto integers = assemble(source, {"w", DType::kI32, {2}, {"w"}, {2}, false});
  ASSERT_FALSE(integers.ok());
  EXPECT_EQ(integers.error().code, ErrorCode::kUnsupported);
}

TEST_F(WeightsTest, SizesOfOneDoNotMatter) {
  Weights weights(executor_, open(Builder().add("conv", "F32", {5, 1, 3}, count_to(15))));
  ASSERT_TRUE(weights.load({{"conv", DType::kF32, {5, 3}, {"conv"}, {5, 3}, false}}, false).ok());
  ASSERT_TRUE(
      weights.load({{"c2", DType::kF32, {1, 5, 3}, {"conv"}, {1, 5, 3}, false}}, false).ok());
  EXPECT_EQ(weights.find("conv")->shape(), (Shape{5, 3}));
  EXPECT_THAT(floats(*weights.find("conv")->download()), ElementsAreArray(count_to(15)));
  EXPECT_FALSE(weights.load({{"c3", DType::kF32, {3, 5}, {"conv"}, {3, 5}, false}}, false).ok());
}

TEST_F(WeightsTest, LoadsOnlyWhatIsNotThere) {
  Weights weights(
      executor_,
      open(Builder().add("a", "F32", {2, 3}, count_to(6)).add("b", "F32", {4}, count_to(4))));
  const WeightSpec a{"a", DType::kF32, {3, 2}, {"a"}, {2, 3}, true};
  const WeightSpec b{"b", DType::kBF16, {4}, {"b"}, {4}, false};
  EXPECT_EQ(weights.find("a"), nullptr);
  ASSERT_TRUE(weights.load({a}, false).ok());
  ASSERT_TRUE(weights.load({a, b}, false).ok());
  EXPECT_EQ(executor_.uploads, 2);
  EXPECT_EQ(weights.bytes(), 6 * 4 + 4 * 2);
  EXPECT_THAT(floats(*weights.find("a")->download()), ElementsAre(0, 3, 1, 4, 2, 5));
}

// Assembled ones lie in memory of Weights, `as_it_lies` in the file: both are read in place.
TEST_F(WeightsTest, WhatABufferReadsInPlaceOutlivesIt) {
  executor_.info_.platform = "cpu";
  const auto& source = open(
      Builder().add("turned", "F32", {2, 3}, count_to(6)).add("plain", "F32", {5}, count_to(5)));
  const std::vector<WeightSpec> specs{{"turned", DType::kF32, {3, 2}, {"turned"}, {2, 3}, true},
                                      {"plain", DType::kF32, {5}, {"plain"}, {5}, false}};
  {
    Weights weights(executor_, source);
    ASSERT_TRUE(weights.load(specs, false).ok());
    ASSERT_THAT(floats(*weights.find("turned")->download()), ElementsAre(0, 3, 1, 4, 2, 5));
  }
  EXPECT_EQ(executor_.uploads, 2);
  EXPECT_EQ(executor_.host_gone, 0);
}

TEST_F(WeightsTest, EveryProblemIsNamedBeforeAnythingIsRead) {
  Weights weights(
      executor_,
      open(Builder().add("good", "F32", {2}, count_to(2)).add("bent", "F32", {2, 3}, count_to(6))));
  const auto spec = [](const std::string& name, Shape shape) {
    return WeightSpec{name, DType::kF32, shape, {name}, shape, false};
  };
  const Status status = weights.load(
      {spec("good", {2}), spec("gone", {4}), spec("bent", {3, 2}), spec("lost", {5})}, false);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("tensor gone is missing (wanted shape [4])"));
  EXPECT_THAT(status.error().message, HasSubstr("tensor bent: wanted shape [3,2], got [2,3]"));
  EXPECT_THAT(status.error().message, HasSubstr("model.safetensors: tensor bent"));
  EXPECT_THAT(status.error().message, HasSubstr("tensor lost is missing"));
  EXPECT_EQ(executor_.uploads, 0);
  EXPECT_EQ(weights.find("good"), nullptr);

  std::vector<WeightSpec> many;
  for (int i = 0; i < 11; ++i) many.push_back(spec("t" + std::to_string(i), {2}));
  const std::string message = weights.load(many, false).error().message;
  EXPECT_THAT(message, HasSubstr("tensor t7 is missing"));
  EXPECT_THAT(message, Not(HasSubstr("t8")));
  EXPECT_THAT(message, HasSubstr("; and 3 more"));
}

TEST_F(WeightsTest, UploadErrorsNameTheWeight) {
  Weights weights(executor_, open(Builder().add("w", "F32", {2}, count_to(2))));
  executor_.upload_fails = true;
  const Status status = weights.load({{"layer.w", DType::kF32, {2}, {"w"}, {2}, false}}, false);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "layer.w: the device is full");
}

// On a thread of its own: the exception must not leave it.
TEST_F(WeightsTest, NoMemoryWhileLoadingIsAnError) {
  Weights weights(executor_, open(Builder().add("w", "F32", {2, 3}, count_to(6))));
  executor_.upload_throws = true;
  const WeightSpec spec{"w", DType::kF32, {3, 2}, {"w"}, {2, 3}, true};
  const Status status = weights.load({spec}, false);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(status.error().message, "after 0 of 24 bytes of weights: out of memory");
  executor_.upload_throws = false;
  EXPECT_TRUE(weights.load({spec}, false).ok());
}

}  // namespace
}  // namespace continuo::engine
