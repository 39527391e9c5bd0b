#include "engine/loaded_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/safetensors_test_files.h"

namespace continuo::engine {
namespace {

using checkpoint::testing_files::Builder;
using checkpoint::testing_files::Folder;
using testing::HasSubstr;

Error failure(const LoadOptions& options) {
  const auto loaded = load_model(options);
  EXPECT_FALSE(loaded.ok());
  return loaded.ok() ? Error{} : loaded.error();
}

TEST(LoadModel, MissingFolder) {
  const Error error = failure({.model = "/nowhere/at/all"});
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_THAT(error.message, HasSubstr("/nowhere/at/all"));
}

TEST(LoadModel, UnsupportedModelTypeListsTheSupported) {
  const Folder folder;
  folder.write("config.json", R"({"model_type": "unheard_of", "architectures": ["UnheardOf"]})");
  folder.write("model.safetensors", Builder().add("w", "F32", {1}, std::vector<float>{1}).bytes());
  const Error error = failure({.model = folder.path()});
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_THAT(error.message, HasSubstr("\"unheard_of\" is not supported; supported: "));
  EXPECT_THAT(error.message, HasSubstr("llama"));
}

TEST(LoadModel, CorruptSafetensors) {
  const Folder folder;
  folder.write("config.json", R"({"model_type": "llama"})");
  folder.write("model.safetensors", "eight bytes and no header");
  const Error error = failure({.model = folder.path()});
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_THAT(error.message, HasSubstr("model.safetensors"));
}

TEST(LoadModel, UnusableDevice) {
  LoadOptions options{.model = CONTINUO_TEST_DATA "/goldens/llama"};
  options.executor.plugin = "/nowhere/plugin.so";
  EXPECT_THAT(failure(options).message, HasSubstr("/nowhere/plugin.so"));
}

TEST(TargetFor, AppliesTheDtype) {
  graph::Target device;
  device.weights = DType::kBF16;
  device.exact_dots = false;
  EXPECT_EQ(target_for(device, "auto")->weights, DType::kBF16);
  EXPECT_FALSE(target_for(device, "auto")->exact_dots);
  EXPECT_EQ(target_for(device, "f32")->kv, DType::kF32);
  EXPECT_TRUE(target_for(device, "f32")->exact_dots);
  EXPECT_EQ(target_for({}, "bf16")->weights, DType::kBF16);
  const auto wrong = target_for(device, "f8");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().message, "dtype: wanted auto, f32 or bf16, got f8");
}

TEST(TargetFor, AppliesTheAttention) {
  graph::Target device;
  device.kernels = {"continuo.linear", "continuo.attention"};
  EXPECT_TRUE(target_for(device, "auto")->has_attention_kernel());
  EXPECT_FALSE(target_for(device, "bf16")->attends_in_place());  // the kernel takes float32
  const auto bucket = target_for(device, "auto", "bucket"),
             loop = target_for(device, "auto", "loop");
  EXPECT_FALSE(bucket->attends_in_place());
  EXPECT_TRUE(bucket->has_kernel("continuo.linear"));
  EXPECT_FALSE(loop->has_attention_kernel());
  EXPECT_TRUE(loop->attends_in_place());
  const auto wrong = target_for(device, "auto", "eager");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().message, "attention: wanted auto, bucket or loop, got eager");
}

TEST(StepLimits, ScoresFitTheMemory) {
  auto model = load_model({.model = CONTINUO_TEST_DATA "/goldens/llama"});
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_TRUE(step_limits(**model, 4096).attends_in_place);
  (*model)->target.prefill_columns = 2048;
  EXPECT_EQ(step_limits(**model, 4096).columns, 2048);
  (*model)->target.kernels.clear();  // now a step holds scores of [heads, columns, context]
  EXPECT_EQ(step_limits(**model, 4096).columns, 2048);
  EXPECT_EQ(step_limits(**model, int64_t{1} << 40).columns, 256);
}

}  // namespace
}  // namespace continuo::engine
