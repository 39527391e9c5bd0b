#include "runtime/pjrt/client.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <numeric>
#include <optional>

namespace continuo::runtime::pjrt {
namespace {

// Share of a GPU's memory that XLA may take, on demand; the rest is left to its libraries.
constexpr float kCudaMemoryFraction = 0.92f;

// XLA's CPU client sizes its thread pool by this variable when it is made, and by nothing else.
class ThreadCountVariable {
 public:
  explicit ThreadCountVariable(int threads) : lock_(mutex()) {
    if (threads <= 0) return;
    if (const char* value = std::getenv(kName)) before_ = value;
    setenv(kName, std::to_string(threads).c_str(), 1);
    set_ = true;
  }
  ~ThreadCountVariable() {
    if (set_ && before_) setenv(kName, before_->c_str(), 1);
    if (set_ && !before_) unsetenv(kName);
  }

 private:
  static constexpr const char* kName = "PJRT_NPROC";
  static std::mutex& mutex() {
    static std::mutex instance;
    return instance;
  }
  std::lock_guard<std::mutex> lock_;
  std::optional<std::string> before_;
  bool set_ = false;
};

}  // namespace

PJRT_Buffer_Type to_pjrt(DType dtype) {
  switch (dtype) {
    case DType::kPred:
      return PJRT_Buffer_Type_PRED;
    case DType::kI8:
      return PJRT_Buffer_Type_S8;
    case DType::kU8:
      return PJRT_Buffer_Type_U8;
    case DType::kI16:
      return PJRT_Buffer_Type_S16;
    case DType::kU16:
      return PJRT_Buffer_Type_U16;
    case DType::kI32:
      return PJRT_Buffer_Type_S32;
    case DType::kU32:
      return PJRT_Buffer_Type_U32;
    case DType::kI64:
      return PJRT_Buffer_Type_S64;
    case DType::kU64:
      return PJRT_Buffer_Type_U64;
    case DType::kF16:
      return PJRT_Buffer_Type_F16;
    case DType::kBF16:
      return PJRT_Buffer_Type_BF16;
    case DType::kF32:
      return PJRT_Buffer_Type_F32;
    case DType::kF64:
      return PJRT_Buffer_Type_F64;
  }
  return PJRT_Buffer_Type_INVALID;
}

Result<std::unique_ptr<Client>> Client::open(const Api& api, int devices, int threads) {
  std::unique_ptr<Client> client(new Client(api));
  CONTINUO_RETURN_IF_ERROR(client->create(devices, threads));
  CONTINUO_RETURN_IF_ERROR(client->read_platform());
  CONTINUO_RETURN_IF_ERROR(client->choose_devices(devices));
  return client;
}

Status Client::create(int devices, int threads) {
  // Which options a plugin takes can only be told by its name: before the client there is no
  // platform to ask.
  const std::string file = std::filesystem::path(api_.path()).filename();
  std::vector<PJRT_NamedValue> options;
  std::vector<int64_t> visible(static_cast<size_t>(devices));
  std::iota(visible.begin(), visible.end(), 0);
  if (file.find("cuda") != std::string::npos) {
    options.push_back(named_value("platform_name", std::string_view("cuda")));
    options.push_back(named_value("allocator", std::string_view("bfc")));
    options.push_back(named_value("preallocate", false));
    options.push_back(named_value("memory_fraction", kCudaMemoryFraction));
    options.push_back(named_value("visible_devices", visible));
  } else if (file.find("cpu") != std::string::npos) {
    options.push_back(named_value("cpu_device_count", static_cast<int64_t>(devices)));
  }
  const ThreadCountVariable variable(threads);
  CONTINUO_PJRT_ARGS(PJRT_Client_Create, args);
  args.create_options = options.data();
  args.num_options = options.size();
  CONTINUO_RETURN_IF_ERROR(api_.call("client", &PJRT_Api::PJRT_Client_Create, args));
  client_ = args.client;
  return {};
}

Client::~Client() {
  if (client_ == nullptr) return;
  CONTINUO_PJRT_ARGS(PJRT_Client_Destroy, args);
  args.client = client_;
  if (auto status = api_.call("client", &PJRT_Api::PJRT_Client_Destroy, args); !status.ok())
    spdlog::warn("{}", status.error().message);
}

Status Client::read_platform() {
  CONTINUO_PJRT_ARGS(PJRT_Client_PlatformName, args);
  args.client = client_;
  CONTINUO_RETURN_IF_ERROR(api_.call("platform", &PJRT_Api::PJRT_Client_PlatformName, args));
  platform_.assign(args.platform_name, args.platform_name_size);
  for (char& c : platform_) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return {};
}

Status Client::choose_devices(int devices) {
  CONTINUO_PJRT_ARGS(PJRT_Client_AddressableDevices, args);
  args.client = client_;
  CONTINUO_RETURN_IF_ERROR(api_.call("devices", &PJRT_Api::PJRT_Client_AddressableDevices, args));
  if (args.num_addressable_devices < static_cast<size_t>(devices))
    return error(ErrorCode::kUnavailable, "wanted {} {} devices, this machine has {}", devices,
                 platform_, args.num_addressable_devices);
  devices_.assign(args.addressable_devices, args.addressable_devices + devices);
  for (PJRT_Device* device : devices_) {
    CONTINUO_TRY(PJRT_DeviceDescription * about, description(device));
    CONTINUO_PJRT_ARGS(PJRT_DeviceDescription_Id, id);
    id.device_description = about;
    CONTINUO_RETURN_IF_ERROR(api_.call("device id", &PJRT_Api::PJRT_DeviceDescription_Id, id));
    device_ids_.push_back(id.id);
  }
  return {};
}

Result<PJRT_DeviceDescription*> Client::description(PJRT_Device* device) const {
  CONTINUO_PJRT_ARGS(PJRT_Device_GetDescription, args);
  args.device = device;
  CONTINUO_RETURN_IF_ERROR(api_.call("device", &PJRT_Api::PJRT_Device_GetDescription, args));
  return args.device_description;
}

Result<std::string> Client::platform_version() const {
  CONTINUO_PJRT_ARGS(PJRT_Client_PlatformVersion, args);
  args.client = client_;
  CONTINUO_RETURN_IF_ERROR(
      api_.call("platform version", &PJRT_Api::PJRT_Client_PlatformVersion, args));
  return std::string(args.platform_version, args.platform_version_size);
}

Result<std::string> Client::device_kind() const {
  CONTINUO_TRY(PJRT_DeviceDescription * about, description(devices_.front()));
  CONTINUO_PJRT_ARGS(PJRT_DeviceDescription_Kind, args);
  args.device_description = about;
  CONTINUO_RETURN_IF_ERROR(api_.call("device kind", &PJRT_Api::PJRT_DeviceDescription_Kind, args));
  return std::string(args.device_kind, args.device_kind_size);
}

int64_t Client::memory_bytes() const {
  CONTINUO_PJRT_ARGS(PJRT_Device_MemoryStats, args);
  args.device = devices_.front();
  const Status status = api_.call("memory", &PJRT_Api::PJRT_Device_MemoryStats, args);
  return status.ok() && args.bytes_limit_is_set ? args.bytes_limit : 0;
}

}  // namespace continuo::runtime::pjrt
