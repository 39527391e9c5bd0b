#include "runtime/pjrt/plugin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "runtime/executor.h"
#include "runtime/pjrt/api.h"

namespace continuo::runtime::pjrt {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char* name_;
};

class Folder {
 public:
  Folder() : path_(fs::path(testing::TempDir()) / fmt::format("plugins.{}", getpid())) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  std::string file(const std::string& name, const std::string& text = "") const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
    return path_ / name;
  }
  fs::path path() const { return path_; }

 private:
  fs::path path_;
};

Error refusal(const std::string& path) {
  const auto executor = open_executor({.plugin = path});
  EXPECT_FALSE(executor.ok()) << path;
  return executor.ok() ? Error{} : executor.error();
}

TEST(Plugin, OptionComesBeforeVariableBeforeDefault) {
  const Variable variable("CONTINUO_PJRT_PLUGIN", "/from/variable.so");
  EXPECT_EQ(*find_plugin("/from/option.so"), "/from/option.so");
  EXPECT_EQ(*find_plugin(""), "/from/variable.so");
}

TEST(Plugin, DefaultIsCudaOnAGpuMachineElseThePinnedCpuPlugin) {
  const Variable cuda("CONTINUO_CUDA_PLUGIN", "/opt/xla_cuda_plugin.so");
  EXPECT_EQ(*find_plugin(""), has_nvidia_gpu() ? "/opt/xla_cuda_plugin.so" : CONTINUO_CPU_PLUGIN);
}

TEST(Plugin, SaysThatAFileIsMissing) {
  const Error error = refusal("/nowhere/plugin.so");
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_THAT(error.message, AllOf(HasSubstr("/nowhere/plugin.so"), HasSubstr("No such file")));
}

TEST(Plugin, SaysWhatIsNotAPlugin) {
  const Folder folder;
  const Error text = refusal(folder.file("notes.txt", "not a library"));
  EXPECT_EQ(text.code, ErrorCode::kUnsupported);
  EXPECT_THAT(text.message, AllOf(HasSubstr("cannot load"), HasSubstr("notes.txt")));

  const Error library = refusal(NOT_A_PLUGIN);
  EXPECT_EQ(library.code, ErrorCode::kUnsupported);
  EXPECT_THAT(library.message, HasSubstr("does not export GetPjrtApi"));

  EXPECT_FALSE(open_executor({.plugin = folder.path()}).ok()) << "a folder";
}

TEST(Plugin, RefusesAnotherMajorVersion) {
  const Error error = refusal(WRONG_MAJOR);
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_THAT(error.message, AllOf(HasSubstr("speaks API 7."), HasSubstr("this program 0.x")));
}

TEST(Plugin, ReportsAFailingStartWithThePluginsMessageAndCode) {
  const Error error = refusal(FAILING_START);
  EXPECT_EQ(error.code, ErrorCode::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("the fake device is on fire"));
}

TEST(Plugin, NeverCallsAFunctionThatAnOldPluginLacks) {
  const Error error = refusal(OLD_PLUGIN);
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_THAT(error.message,
              AllOf(HasSubstr("client"), HasSubstr("API 0.3"), HasSubstr("too old")));
}

TEST(Plugin, IsLoadedOnce) {
  const auto first = Api::load(CONTINUO_CPU_PLUGIN);
  const auto second = Api::load(CONTINUO_CPU_PLUGIN);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*first, *second);
  EXPECT_THAT(
      (*first)->version(),
      AllOf(HasSubstr("PJRT 0."), HasSubstr("stablehlo_current_version="), HasSubstr("file ")));
}

TEST(Plugin, RefusesNoDevicesAndMoreThanThereAre) {
  EXPECT_EQ(open_executor({.plugin = CONTINUO_CPU_PLUGIN, .devices = 0}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(open_executor({.executor = "abacus"}).error().code, ErrorCode::kUnsupported);
}

// The two ways in which set-up may unpack wheels: each in a folder of its own, or all in one.
TEST(Plugin, FindsTheLibrariesOfACudaPlugin) {
  const Folder folder;
  const std::string plugin = folder.file("pjrt/jax_plugins/xla_cuda13/xla_cuda_plugin.so");
  const std::string own = folder.file("pjrt/nvidia/cu13/lib/libcublas.so.13");
  const std::string other = folder.file("cudnn/nvidia/cudnn/lib/libcudnn.so.9");
  const std::string runtime = folder.file("cudart/nvidia/cu13/lib/libcudart.so.13");
  folder.file("nvcc/nvidia/cu13/nvvm/libdevice/libdevice.10.bc");
  const CudaFiles files = find_cuda_files(plugin);
  EXPECT_THAT(files.libraries, ElementsAre(runtime, own, other));
  EXPECT_EQ(files.data_dir, (folder.path() / "nvcc/nvidia/cu13").string());
}

TEST(Plugin, OtherPluginsHaveNoCudaLibraries) {
  const CudaFiles files = find_cuda_files(CONTINUO_CPU_PLUGIN);
  EXPECT_TRUE(files.libraries.empty());
  EXPECT_FALSE(files.data_dir.has_value());
}

}  // namespace
}  // namespace continuo::runtime::pjrt
