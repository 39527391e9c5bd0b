// XLA's CompileOptionsProto in wire format, written by hand: seven fields do not justify a
// protobuf dependency. Field numbers: xla/pjrt/proto/compile_options.proto.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace continuo::runtime::pjrt {

struct CompileOptions {
  // Devices that run one program together; more than one partitions it by its sdy.sharding.
  std::vector<int64_t> device_ids;
  // XLA debug options by name, "xla_gpu_cuda_data_dir" = "/usr/local/cuda".
  std::map<std::string, std::string> overrides;

  std::string serialize() const;
};

}  // namespace continuo::runtime::pjrt
