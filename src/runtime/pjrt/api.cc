#include "runtime/pjrt/api.h"

#include <dlfcn.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

namespace continuo::runtime::pjrt {
namespace {

// Older plugins load as well; this one (spring 2025) is the oldest whose structs were compared.
constexpr int kOldestKnownMinor = 67;

ErrorCode from_pjrt(PJRT_Error_Code code) {
  switch (code) {
    case PJRT_Error_Code_CANCELLED:
      return ErrorCode::kCancelled;
    case PJRT_Error_Code_INVALID_ARGUMENT:
    case PJRT_Error_Code_FAILED_PRECONDITION:
    case PJRT_Error_Code_OUT_OF_RANGE:
      return ErrorCode::kInvalidArgument;
    case PJRT_Error_Code_NOT_FOUND:
      return ErrorCode::kNotFound;
    case PJRT_Error_Code_RESOURCE_EXHAUSTED:
      return ErrorCode::kResourceExhausted;
    case PJRT_Error_Code_UNIMPLEMENTED:
      return ErrorCode::kUnsupported;
    case PJRT_Error_Code_DATA_LOSS:
      return ErrorCode::kCorrupt;
    case PJRT_Error_Code_UNAVAILABLE:
    case PJRT_Error_Code_DEADLINE_EXCEEDED:
    case PJRT_Error_Code_ABORTED:
      return ErrorCode::kUnavailable;
    default:
      return ErrorCode::kInternal;
  }
}

std::string text_of(const PJRT_NamedValue& value) {
  switch (value.type) {
    case PJRT_NamedValue_kString:
      return {value.string_value, value.value_size};
    case PJRT_NamedValue_kInt64:
      return std::to_string(value.int64_value);
    case PJRT_NamedValue_kFloat:
      return fmt::format("{}", value.float_value);
    case PJRT_NamedValue_kBool:
      return value.bool_value ? "true" : "false";
    case PJRT_NamedValue_kInt64List: {
      std::string text;
      for (size_t i = 0; i < value.value_size; ++i)
        text += fmt::format("{}{}", i == 0 ? "" : ".", value.int64_array_value[i]);
      return text;
    }
  }
  return "?";
}

PJRT_NamedValue empty_value(std::string_view name, PJRT_NamedValue_Type type, size_t size) {
  PJRT_NamedValue value{};
  value.struct_size = PJRT_NamedValue_STRUCT_SIZE;
  value.name = name.data();
  value.name_size = name.size();
  value.type = type;
  value.value_size = size;
  return value;
}

}  // namespace

PJRT_NamedValue named_value(std::string_view name, std::string_view value) {
  PJRT_NamedValue named = empty_value(name, PJRT_NamedValue_kString, value.size());
  named.string_value = value.data();
  return named;
}
PJRT_NamedValue named_value(std::string_view name, int64_t value) {
  PJRT_NamedValue named = empty_value(name, PJRT_NamedValue_kInt64, 1);
  named.int64_value = value;
  return named;
}
PJRT_NamedValue named_value(std::string_view name, bool value) {
  PJRT_NamedValue named = empty_value(name, PJRT_NamedValue_kBool, 1);
  named.bool_value = value;
  return named;
}
PJRT_NamedValue named_value(std::string_view name, float value) {
  PJRT_NamedValue named = empty_value(name, PJRT_NamedValue_kFloat, 1);
  named.float_value = value;
  return named;
}
PJRT_NamedValue named_value(std::string_view name, const std::vector<int64_t>& value) {
  PJRT_NamedValue named = empty_value(name, PJRT_NamedValue_kInt64List, value.size());
  named.int64_array_value = value.data();
  return named;
}

Result<const Api*> Api::load(const std::string& path) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<Api>> loaded;  // by resolved path
  std::error_code failure;
  const std::string resolved = std::filesystem::canonical(path, failure).string();
  if (failure) return error(ErrorCode::kNotFound, "PJRT plugin {}: {}", path, failure.message());
  const std::lock_guard lock(mutex);
  auto& slot = loaded[resolved];
  if (slot == nullptr) {
    CONTINUO_TRY(Api * api, open(resolved));
    std::unique_ptr<Api> owned(api);
    CONTINUO_RETURN_IF_ERROR(owned->initialize());
    slot = std::move(owned);
  }
  return slot.get();
}

Result<Api*> Api::open(const std::string& path) {
  setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0);  // XLA's start-up notes would mix with our own output
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr)
    return error(ErrorCode::kUnsupported, "cannot load the PJRT plugin {}: {}", path, dlerror());
  const auto get_api = reinterpret_cast<const PJRT_Api* (*)()>(dlsym(handle, "GetPjrtApi"));
  if (get_api == nullptr) {
    dlclose(handle);  // nothing of it ran but its initialisers
    return error(ErrorCode::kUnsupported, "{} is not a PJRT plugin: it does not export GetPjrtApi",
                 path);
  }
  const PJRT_Api* api = get_api();
  if (api == nullptr)
    return error(ErrorCode::kUnavailable, "PJRT plugin {}: GetPjrtApi returned nothing", path);
  const PJRT_Api_Version& version = api->pjrt_api_version;
  if (version.major_version != PJRT_API_MAJOR)
    return error(ErrorCode::kUnsupported, "PJRT plugin {} speaks API {}.{}, this program {}.x",
                 path, version.major_version, version.minor_version, PJRT_API_MAJOR);
  if (version.minor_version < kOldestKnownMinor)
    spdlog::warn("PJRT plugin {} speaks API {}.{}; the oldest tested is {}.{}", path,
                 version.major_version, version.minor_version, PJRT_API_MAJOR, kOldestKnownMinor);
  return new Api(api, path);
}

Status Api::initialize() {
  if (has(&api_->PJRT_Plugin_Initialize)) {
    CONTINUO_PJRT_ARGS(PJRT_Plugin_Initialize, args);
    auto status = call("plugin initialization", &PJRT_Api::PJRT_Plugin_Initialize, args);
    if (!status.ok()) return with_context(std::move(status).error(), path_);
  }
  describe();
  return {};
}

void Api::describe() {
  const PJRT_Api_Version& version = api_->pjrt_api_version;
  version_ = fmt::format("PJRT {}.{}", version.major_version, version.minor_version);
  CONTINUO_PJRT_ARGS(PJRT_Plugin_Attributes, args);
  if (call("plugin attributes", &PJRT_Api::PJRT_Plugin_Attributes, args).ok())
    for (size_t i = 0; i < args.num_attributes; ++i) {
      const PJRT_NamedValue& value = args.attributes[i];
      version_ +=
          fmt::format("; {}={}", std::string_view(value.name, value.name_size), text_of(value));
    }
  // The attributes do not change with every build of a plugin: its file tells builds apart.
  struct stat file {};
  if (stat(path_.c_str(), &file) == 0)
    version_ +=
        fmt::format("; file {} {}.{:09}", file.st_size, file.st_mtim.tv_sec, file.st_mtim.tv_nsec);
}

Error Api::missing(std::string_view what) const {
  return error(ErrorCode::kUnsupported,
               "PJRT {}: plugin {} (API {}.{}) is too old to have this function", what, path_,
               api_->pjrt_api_version.major_version, api_->pjrt_api_version.minor_version);
}

Error Api::take(std::string_view what, PJRT_Error* failure) const {
  CONTINUO_PJRT_ARGS(PJRT_Error_Message, message);
  message.error = failure;
  api_->PJRT_Error_Message(&message);
  CONTINUO_PJRT_ARGS(PJRT_Error_GetCode, code);
  code.error = failure;
  PJRT_Error* second = api_->PJRT_Error_GetCode(&code);
  Error result =
      error(second == nullptr ? from_pjrt(code.code) : ErrorCode::kInternal, "PJRT {}: {}", what,
            std::string_view(message.message, message.message_size));
  for (PJRT_Error* each : {failure, second}) {
    CONTINUO_PJRT_ARGS(PJRT_Error_Destroy, args);
    args.error = each;
    api_->PJRT_Error_Destroy(&args);
  }
  return result;
}

Status Api::await(std::string_view what, PJRT_Event* event) const {
  if (event == nullptr) return {};
  CONTINUO_PJRT_ARGS(PJRT_Event_Await, args);
  args.event = event;
  Status status = call(what, &PJRT_Api::PJRT_Event_Await, args);
  destroy(event);
  return status;
}

void Api::destroy(PJRT_Event* event) const {
  if (event == nullptr) return;
  CONTINUO_PJRT_ARGS(PJRT_Event_Destroy, args);
  args.event = event;
  if (auto status = call("event", &PJRT_Api::PJRT_Event_Destroy, args); !status.ok())
    spdlog::warn("{}", status.error().message);
}

void Api::destroy(PJRT_Buffer* buffer) const {
  if (buffer == nullptr) return;
  CONTINUO_PJRT_ARGS(PJRT_Buffer_Destroy, args);
  args.buffer = buffer;
  if (auto status = call("buffer", &PJRT_Api::PJRT_Buffer_Destroy, args); !status.ok())
    spdlog::warn("{}", status.error().message);
}

}  // namespace continuo::runtime::pjrt
