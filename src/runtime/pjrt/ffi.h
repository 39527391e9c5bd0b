// XLA's foreign function interface, typed (api_version 4 in StableHLO): how a program calls back
// into this one. The interface is xla/ffi/api/c_api.h; handlers are registered through the plugin's
// extension (xla/pjrt/c/pjrt_c_api_ffi_extension.h).
#pragma once

#include <xla/ffi/api/c_api.h>

#include <functional>
#include <string>
#include <string_view>

#include "runtime/pjrt/api.h"

namespace continuo::runtime::pjrt {

// Names a handler that programs for the host call as `name`. kUnsupported where the plugin has no
// such interface, or speaks another version of it. Once a name and plugin; any thread.
Status register_handler(const Api& api, const std::string& name, XLA_FFI_Handler* handler);

// Whether XLA only asks what the handler is; then the answer is in the frame, and the handler
// returns nullptr.
bool answer_metadata(XLA_FFI_CallFrame* frame);
// The attribute of this name and type; false where the call has none.
bool attribute(const XLA_FFI_CallFrame* frame, std::string_view name, float& value);
bool attribute(const XLA_FFI_CallFrame* frame, std::string_view name, int64_t& value);
XLA_FFI_Error* ffi_error(const XLA_FFI_CallFrame* frame, const std::string& message);

// Calls work(begin, end) for pieces of [0, count), each a multiple of `grain` but the last, on this
// thread and those of XLA's pool that are free. Returns when all are done; work must not throw.
void parallel_for(const XLA_FFI_CallFrame* frame, int64_t count, int64_t grain,
                  const std::function<void(int64_t, int64_t)>& work);

}  // namespace continuo::runtime::pjrt
