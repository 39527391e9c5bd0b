#include "runtime/iree/handle.h"

namespace continuo::runtime::iree {
namespace {

ErrorCode to_code(iree_status_code_t code) {
  switch (code) {
    case IREE_STATUS_INVALID_ARGUMENT:
      return ErrorCode::kInvalidArgument;
    case IREE_STATUS_NOT_FOUND:
      return ErrorCode::kNotFound;
    case IREE_STATUS_RESOURCE_EXHAUSTED:
      return ErrorCode::kResourceExhausted;
    case IREE_STATUS_UNIMPLEMENTED:
    case IREE_STATUS_INCOMPATIBLE:
      return ErrorCode::kUnsupported;
    default:
      return ErrorCode::kUnavailable;
  }
}

}  // namespace

Status take(std::string_view what, iree_status_t status) {
  if (iree_status_is_ok(status)) return {};
  char* text = nullptr;
  iree_host_size_t size = 0;
  iree_allocator_t allocator = iree_allocator_system();
  std::string message = iree_status_code_string(iree_status_code(status));
  if (iree_status_to_string(status, &allocator, &text, &size)) {
    message.assign(text, size);
    iree_allocator_free(allocator, text);
  }
  const ErrorCode code = to_code(iree_status_code(status));
  iree_status_free(status);
  return error(code, "{}: {}", what, message);
}

}  // namespace continuo::runtime::iree
