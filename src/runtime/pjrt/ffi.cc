#include "runtime/pjrt/ffi.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <type_traits>

namespace continuo::runtime::pjrt {
namespace {

// The extension's structs; its header is in no wheel. What comes after these members is newer.
struct RegisterHandlerArgs {
  size_t struct_size;
  const char* target_name;
  size_t target_name_size;
  void* handler;
  const char* platform_name;
  size_t platform_name_size;
  uint32_t traits;
};
struct FfiExtension {
  PJRT_Extension_Base base;
  void* type_register;
  void* user_data_add;
  PJRT_Error* (*register_handler)(RegisterHandlerArgs*);
};
constexpr size_t kExtensionSize =
    offsetof(FfiExtension, register_handler) + sizeof(FfiExtension::register_handler);
constexpr size_t kArgsSize =
    offsetof(RegisterHandlerArgs, traits) + sizeof(RegisterHandlerArgs::traits);

const FfiExtension* find_extension(const Api& api) {
  for (const PJRT_Extension_Base* each = api.get()->extension_start; each != nullptr;
       each = each->next) {
    // As a number: a newer plugin has extensions for which our header's type has no value.
    std::underlying_type_t<PJRT_Extension_Type> type;
    std::memcpy(&type, &each->type, sizeof(type));
    if (type == PJRT_Extension_Type_FFI && each->struct_size >= kExtensionSize)
      return reinterpret_cast<const FfiExtension*>(each);
  }
  return nullptr;
}

int64_t pool_threads(const XLA_FFI_CallFrame* frame) {
  int64_t threads = 1;
  XLA_FFI_ThreadPool_NumThreads_Args args{};
  args.struct_size = XLA_FFI_ThreadPool_NumThreads_Args_STRUCT_SIZE;
  args.ctx = frame->ctx;
  args.num_threads = &threads;
  if (XLA_FFI_Error* failure = frame->api->XLA_FFI_ThreadPool_NumThreads(&args)) {
    XLA_FFI_Error_Destroy_Args destroy{XLA_FFI_Error_Destroy_Args_STRUCT_SIZE, nullptr, failure};
    frame->api->XLA_FFI_Error_Destroy(&destroy);
    return 1;
  }
  return threads;
}

bool scalar(const XLA_FFI_CallFrame* frame, std::string_view name, XLA_FFI_DataType type,
            void* value, size_t size) {
  const XLA_FFI_Attrs& attributes = frame->attrs;
  for (int64_t i = 0; i < attributes.size; ++i) {
    if (std::string_view(attributes.names[i]->ptr, attributes.names[i]->len) != name) continue;
    const auto* found = static_cast<const XLA_FFI_Scalar*>(attributes.attrs[i]);
    if (attributes.types[i] != XLA_FFI_AttrType_SCALAR || found->dtype != type) return false;
    std::memcpy(value, found->value, size);
    return true;
  }
  return false;
}

// Pieces are claimed one by one. A task that starts after the last was claimed finds none, maybe
// after the caller has gone: it owns a share of the counters and does not touch `work`.
struct Pieces {
  Pieces(int64_t all, int64_t each, const std::function<void(int64_t, int64_t)>& piece_work)
      : count(all), size(each), pieces((all + each - 1) / each), work(piece_work) {}

  void run() {
    for (int64_t i = next.fetch_add(1); i < pieces; i = next.fetch_add(1)) {
      work(i * size, std::min(count, (i + 1) * size));
      done.fetch_add(1, std::memory_order_release);
    }
  }

  const int64_t count, size, pieces;
  const std::function<void(int64_t, int64_t)>& work;
  std::atomic<int64_t> next{0}, done{0};
};

void run_task(void* data) {
  const std::unique_ptr<std::shared_ptr<Pieces>> pieces(
      static_cast<std::shared_ptr<Pieces>*>(data));
  (*pieces)->run();
}

bool schedule(const XLA_FFI_CallFrame* frame, const std::shared_ptr<Pieces>& pieces) {
  auto share = std::make_unique<std::shared_ptr<Pieces>>(pieces);
  XLA_FFI_ThreadPool_Schedule_Args args{};
  args.struct_size = XLA_FFI_ThreadPool_Schedule_Args_STRUCT_SIZE;
  args.ctx = frame->ctx;
  args.task = run_task;
  args.data = share.get();
  if (XLA_FFI_Error* failure = frame->api->XLA_FFI_ThreadPool_Schedule(&args)) {
    XLA_FFI_Error_Destroy_Args destroy{XLA_FFI_Error_Destroy_Args_STRUCT_SIZE, nullptr, failure};
    frame->api->XLA_FFI_Error_Destroy(&destroy);
    return false;
  }
  static_cast<void>(share.release());  // the task's
  return true;
}

}  // namespace

Status register_handler(const Api& api, const std::string& name, XLA_FFI_Handler* handler) {
  const FfiExtension* extension = find_extension(api);
  if (extension == nullptr)
    return error(ErrorCode::kUnsupported, "PJRT plugin {} takes no custom calls", api.path());
  constexpr std::string_view kPlatform = "Host";
  RegisterHandlerArgs args{};
  args.struct_size = kArgsSize;
  args.target_name = name.data();
  args.target_name_size = name.size();
  args.handler = reinterpret_cast<void*>(handler);
  args.platform_name = kPlatform.data();
  args.platform_name_size = kPlatform.size();
  if (PJRT_Error* failure = extension->register_handler(&args)) return api.take(name, failure);
  return {};
}

bool answer_metadata(XLA_FFI_CallFrame* frame) {
  XLA_FFI_Extension_Base* extension = frame->extension_start;
  if (extension == nullptr || extension->type != XLA_FFI_Extension_Metadata) return false;
  XLA_FFI_Metadata* metadata = reinterpret_cast<XLA_FFI_Metadata_Extension*>(extension)->metadata;
  metadata->api_version.major_version = XLA_FFI_API_MAJOR;
  metadata->api_version.minor_version = XLA_FFI_API_MINOR;
  metadata->traits = 0;
  return true;
}

bool attribute(const XLA_FFI_CallFrame* frame, std::string_view name, float& value) {
  return scalar(frame, name, XLA_FFI_DataType_F32, &value, sizeof(value));
}

bool attribute(const XLA_FFI_CallFrame* frame, std::string_view name, int64_t& value) {
  return scalar(frame, name, XLA_FFI_DataType_S64, &value, sizeof(value));
}

XLA_FFI_Error* ffi_error(const XLA_FFI_CallFrame* frame, const std::string& message) {
  XLA_FFI_Error_Create_Args args{};
  args.struct_size = XLA_FFI_Error_Create_Args_STRUCT_SIZE;
  args.message = message.c_str();
  args.errc = XLA_FFI_Error_Code_INVALID_ARGUMENT;
  return frame->api->XLA_FFI_Error_Create(&args);
}

void parallel_for(const XLA_FFI_CallFrame* frame, int64_t count, int64_t grain,
                  const std::function<void(int64_t, int64_t)>& work) {
  const int64_t threads = pool_threads(frame);
  if (threads <= 1 || count <= grain) return work(0, count);
  // Several pieces a thread: one that starts late or is interrupted delays the end by a piece.
  constexpr int64_t kPiecesPerThread = 4;
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t each = std::max<int64_t>(1, grains / (threads * kPiecesPerThread)) * grain;
  const auto pieces = std::make_shared<Pieces>(count, each, work);
  for (int64_t i = 1; i < std::min(threads, pieces->pieces); ++i)
    if (!schedule(frame, pieces)) break;
  pieces->run();
  while (pieces->done.load(std::memory_order_acquire) < pieces->pieces) std::this_thread::yield();
}

}  // namespace continuo::runtime::pjrt
