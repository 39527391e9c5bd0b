// A PJRT client and the devices one Executor works over, shared by its buffers and programs.
#pragma once

#include <pjrt_c_api.h>

#include <string>
#include <vector>

#include "base/dtype.h"
#include "runtime/executor.h"
#include "runtime/pjrt/api.h"

namespace continuo::runtime::pjrt {

PJRT_Buffer_Type to_pjrt(DType dtype);

// Owned by the Executor, which outlives what it made. Immutable once open.
class Client {
 public:
  // Opens the first `options.devices` devices of the plugin; `threads` (> 0) sizes the pool of a
  // CPU device. kUnavailable when there are fewer devices.
  static Result<std::unique_ptr<Client>> open(const Api& api, int devices, int threads);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const Api& api() const { return api_; }
  PJRT_Client* get() const { return client_; }
  const std::vector<PJRT_Device*>& devices() const { return devices_; }
  const std::vector<int64_t>& device_ids() const { return device_ids_; }
  const std::string& platform() const { return platform_; }  // lower case: "cpu", "cuda"
  bool on_host() const { return platform_ == "cpu"; }        // device memory is host memory

  Result<std::string> platform_version() const;
  Result<std::string> device_kind() const;
  // Of one device; 0 when the plugin does not say.
  int64_t memory_bytes() const;

 private:
  explicit Client(const Api& api) : api_(api) {}
  Status create(int devices, int threads);
  Status read_platform();
  Status choose_devices(int devices);
  Result<PJRT_DeviceDescription*> description(PJRT_Device* device) const;

  const Api& api_;
  PJRT_Client* client_ = nullptr;
  std::vector<PJRT_Device*> devices_;
  std::vector<int64_t> device_ids_;
  std::string platform_;
};

}  // namespace continuo::runtime::pjrt
