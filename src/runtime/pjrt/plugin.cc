#include "runtime/pjrt/plugin.h"

#include <dlfcn.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

namespace continuo::runtime::pjrt {
namespace {

namespace fs = std::filesystem;

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_file(const fs::path& path) {
  std::error_code failure;
  return fs::is_regular_file(path, failure);
}

std::vector<fs::path> folders_in(const fs::path& parent) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (fs::directory_iterator it(parent, failure), end; !failure && it != end;
       it.increment(failure)) {
    std::error_code ignored;
    if (it->is_directory(ignored)) found.push_back(it->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// <deps>/<wheel>/jax_plugins/xla_cuda*/xla_cuda_plugin.so
std::string installed_cuda_plugin() {
  const std::string named = from_environment("CONTINUO_CUDA_PLUGIN");
  if (!named.empty()) return named;
  for (const fs::path& wheel : folders_in(CONTINUO_DEPS_DIR))
    for (const fs::path& package : folders_in(wheel / "jax_plugins"))
      if (is_file(package / "xla_cuda_plugin.so")) return package / "xla_cuda_plugin.so";
  return "";
}

// In the order in which later ones need earlier ones; the CUDA 13 and 12 names.
constexpr std::array kCudaLibraries = {
    "libcudart.so.13",    "libcudart.so.12",    "libnvrtc.so.13",       "libnvrtc.so.12",
    "libnvJitLink.so.13", "libnvJitLink.so.12", "libcublasLt.so.13",    "libcublasLt.so.12",
    "libcublas.so.13",    "libcublas.so.12",    "libnccl.so.2",         "libcupti.so.13",
    "libcupti.so.12",     "libcusparse.so.12",  "libcusolver.so.12",    "libcusolver.so.11",
    "libcufft.so.12",     "libcufft.so.11",     "libnvshmem_host.so.3", "libcudnn.so.9"};

}  // namespace

bool has_nvidia_gpu() {
  std::error_code failure;
  return fs::exists("/dev/nvidia0", failure) || fs::exists("/dev/nvidiactl", failure);
}

Result<std::string> find_plugin(const std::string& option) {
  if (!option.empty()) return option;
  if (std::string named = from_environment("CONTINUO_PJRT_PLUGIN"); !named.empty()) return named;
  if (has_nvidia_gpu())
    if (std::string cuda = installed_cuda_plugin(); !cuda.empty()) return cuda;
  const fs::path built = CONTINUO_CPU_PLUGIN;
  if (is_file(built)) return built.string();
  std::error_code failure;
  const fs::path beside =
      fs::read_symlink("/proc/self/exe", failure).parent_path() / built.filename();
  if (is_file(beside)) return beside.string();
  return error(ErrorCode::kNotFound,
               "no PJRT plugin: neither {} nor {} is there (run `make build`, or name one with "
               "--plugin or CONTINUO_PJRT_PLUGIN)",
               built.string(), beside.string());
}

CudaFiles find_cuda_files(const std::string& plugin) {
  CudaFiles files;
  std::error_code failure;
  const fs::path path = fs::weakly_canonical(plugin, failure);
  if (path.filename().string().find("cuda") == std::string::npos) return files;
  // <site>/jax_plugins/xla_cuda13/xla_cuda_plugin.so
  const fs::path site = path.parent_path().parent_path().parent_path();
  std::vector<fs::path> packages = folders_in(site / "nvidia");
  for (const fs::path& wheel : folders_in(site.parent_path()))
    if (wheel != site)
      for (fs::path& package : folders_in(wheel / "nvidia")) packages.push_back(std::move(package));
  for (const char* library : kCudaLibraries)
    for (const fs::path& package : packages)
      if (is_file(package / "lib" / library)) {
        files.libraries.push_back(package / "lib" / library);
        break;
      }
  for (const fs::path& package : packages)
    if (!files.data_dir && is_file(package / "nvvm/libdevice/libdevice.10.bc"))
      files.data_dir = package.string();
  return files;
}

void preload(const std::vector<std::string>& libraries) {
  for (const std::string& library : libraries)
    if (dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr)
      spdlog::debug("cannot load {}: {}", library, dlerror());
}

}  // namespace continuo::runtime::pjrt
