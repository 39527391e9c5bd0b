// Which PJRT plugin to use, and what surrounds a CUDA plugin.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace continuo::runtime::pjrt {

// The plugin file: `option` if not empty, else $CONTINUO_PJRT_PLUGIN, else a CUDA plugin
// ($CONTINUO_CUDA_PLUGIN, or one installed by set-up) if the machine has an NVIDIA GPU, else the
// CPU plugin of the build or, where that is gone, beside the executable. kNotFound names every
// file that was looked for.
Result<std::string> find_plugin(const std::string& option);

bool has_nvidia_gpu();

// A CUDA plugin's libraries come as wheels of their own, which no loader path names.
struct CudaFiles {
  std::vector<std::string> libraries;   // to load before the plugin, in order
  std::optional<std::string> data_dir;  // holds nvvm/libdevice, for xla_gpu_cuda_data_dir
};
// Looks in the plugin's own site-packages and, where each wheel has a folder of its own, in those
// beside it. Empty for other plugins, and where CUDA is installed system-wide.
CudaFiles find_cuda_files(const std::string& plugin);
// Makes `libraries` known to the loader; one that does not load is left to the plugin's error.
void preload(const std::vector<std::string>& libraries);

}  // namespace continuo::runtime::pjrt
