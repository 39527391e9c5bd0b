#include "runtime/pjrt/compile_options.h"

#include <string_view>

namespace continuo::runtime::pjrt {
namespace {

class ProtoWriter {
 public:
  ProtoWriter& number(int field, int64_t value) {
    varint(static_cast<uint64_t>(field) << 3);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  ProtoWriter& bytes(int field, std::string_view value) {
    varint(static_cast<uint64_t>(field) << 3 | 2);
    varint(value.size());
    out_ += value;
    return *this;
  }
  const std::string& str() const { return out_; }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  std::string out_;
};

// DeviceAssignmentProto: one replica, a partition a device.
std::string device_assignment(const std::vector<int64_t>& device_ids) {
  ProtoWriter assignment;
  assignment.number(1, 1).number(2, static_cast<int64_t>(device_ids.size()));
  for (int64_t id : device_ids) assignment.bytes(3, ProtoWriter().number(1, id).str());
  return assignment.str();
}

}  // namespace

std::string CompileOptions::serialize() const {
  ProtoWriter build;
  build.number(1, -1);                                       // device_ordinal: not set
  build.number(4, 1);                                        // num_replicas
  build.number(5, static_cast<int64_t>(device_ids.size()));  // num_partitions
  if (device_ids.size() > 1) {
    build.number(6, 1);                             // use_spmd_partitioning
    build.bytes(9, device_assignment(device_ids));  // device_assignment
    build.bytes(12, "\x01");                        // propagate shardings to outputs
    build.number(19, 1);                            // use_shardy_partitioner
  }
  ProtoWriter options;
  options.bytes(3, build.str());
  for (const auto& [name, value] : overrides)
    options.bytes(7,
                  ProtoWriter().bytes(1, name).bytes(2, ProtoWriter().bytes(1, value).str()).str());
  return options.str();
}

}  // namespace continuo::runtime::pjrt
