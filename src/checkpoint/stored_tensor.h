// From the tensors of safetensors files to the logical tensors that a model asks for.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_source.h"

namespace continuo::checkpoint {

// A run of bytes in one of the files, which the SafetensorsSet keeps alive.
struct Plane {
  const SafetensorsFile* file = nullptr;
  size_t offset = 0;
  HostView view;  // dtype, shape and where it is mapped
};

// One logical tensor and the planes it is made of: scales for kMXFP4 and kAffine, biases for
// kAffine.
struct StoredTensor {
  TensorInfo info;
  std::string_view unreadable;  // the format's name of a dtype that cannot be read, else ""
  int bits = 0, group_size = 0;
  Plane blocks, scales, biases;
};

// Every logical tensor of the set, sorted by name. See make_safetensors_source for the rules.
Result<std::vector<StoredTensor>> logical_tensors(const SafetensorsSet& set,
                                                  const nlohmann::json& config);

}  // namespace continuo::checkpoint
