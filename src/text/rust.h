// The C ABI of rust/ in C++ terms; only src/text's sources include this.
#pragma once

#include <continuo_text.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace continuo::text::rust {

inline ContinuoSlice slice(std::string_view text) { return {text.data(), text.size()}; }

// Owns what the library has filled in; converts to the C pointer that it fills.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { continuo_buffer_free(buffer_); }
  ContinuoBuffer* out() { return &buffer_; }
  std::string str() const { return buffer_.data ? std::string(buffer_.data, buffer_.size) : ""; }

 private:
  ContinuoBuffer buffer_{nullptr, 0};
};

// The Result of a call that returned `status` and, if it failed, filled `message`.
inline Status status(int32_t status, const Buffer& message) {
  switch (status) {
    case CONTINUO_TEXT_OK:
      return ok_status();
    case CONTINUO_TEXT_INVALID_ARGUMENT:
      return Error{ErrorCode::kInvalidArgument, message.str()};
    case CONTINUO_TEXT_CORRUPT:
      return Error{ErrorCode::kCorrupt, message.str()};
    case CONTINUO_TEXT_UNSUPPORTED:
      return Error{ErrorCode::kUnsupported, message.str()};
    case CONTINUO_TEXT_CANCELLED:
      return Error{ErrorCode::kCancelled, message.str()};
    default:
      return Error{ErrorCode::kInternal, message.str()};
  }
}

}  // namespace continuo::text::rust
