#include "base/guard.h"

#include <exception>
#include <new>

namespace continuo {

Error current_error() noexcept {
  // Short enough for the string's own buffer.
  constexpr const char* kNoMemory = "out of memory";
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return {ErrorCode::kResourceExhausted, kNoMemory};
  } catch (const std::exception& failure) {
    try {
      return {ErrorCode::kInternal, failure.what()};
    } catch (...) {  // no memory for the message
      return {ErrorCode::kResourceExhausted, kNoMemory};
    }
  } catch (...) {
    return {ErrorCode::kInternal, "unknown error"};
  }
}

}  // namespace continuo
