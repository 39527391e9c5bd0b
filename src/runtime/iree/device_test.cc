// Opening IREE's devices, and what is said where that fails.
#include <gmock/gmock.h>

#include "runtime/executor.h"

namespace continuo::runtime {
namespace {

using testing::HasSubstr;

TEST(IreeDevice, AnUnknownOneIsAnsweredWithThoseThereAre) {
  const auto opened = open_executor({.executor = "iree", .device = "tpu"});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(opened.error().message, HasSubstr("local-task, local-sync or cuda, got tpu"));
}

TEST(IreeDevice, CudaOpensOrSaysWhatIsMissing) {
  const auto opened = open_executor({.executor = "iree", .device = "cuda"});
  if (opened.ok()) {
    EXPECT_EQ((*opened)->info().platform, "cuda");
    EXPECT_EQ((*opened)->info().cpu_features, "");
    EXPECT_THAT((*opened)->options_key(), HasSubstr("--iree-cuda-target=sm_"));
    return;
  }
#ifdef CONTINUO_IREE_CUDA
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(opened.error().message, HasSubstr("wanted NVIDIA's driver (libcuda.so.1) and a GPU"));
#else
  EXPECT_EQ(opened.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(opened.error().message, HasSubstr("make setup-iree-cuda"));
#endif
}

TEST(IreeDevice, ACompilerThatIsNotThereIsNamed) {
  const auto opened = open_executor({.executor = "iree", .plugin = "/nowhere/libIREECompiler.so"});
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().message, HasSubstr("/nowhere/libIREECompiler.so"));
}

}  // namespace
}  // namespace continuo::runtime
