// IREE's C objects and errors in our terms.
#pragma once

#include <iree/base/api.h>
#include <iree/hal/api.h>
#include <iree/vm/api.h>

#include <memory>
#include <string_view>

#include "base/result.h"

namespace continuo::runtime::iree {

template <auto release>
struct Releaser {
  template <typename T>
  void operator()(T* object) const {
    release(object);
  }
};
// Holds one reference to an IREE object.
template <typename T, auto release>
using Handle = std::unique_ptr<T, Releaser<release>>;

using BufferViewHandle = Handle<iree_hal_buffer_view_t, iree_hal_buffer_view_release>;
using BufferHandle = Handle<iree_hal_buffer_t, iree_hal_buffer_release>;
using DeviceHandle = Handle<iree_hal_device_t, iree_hal_device_release>;
using SemaphoreHandle = Handle<iree_hal_semaphore_t, iree_hal_semaphore_release>;
using FenceHandle = Handle<iree_hal_fence_t, iree_hal_fence_release>;
using InstanceHandle = Handle<iree_vm_instance_t, iree_vm_instance_release>;
using ModuleHandle = Handle<iree_vm_module_t, iree_vm_module_release>;
using ContextHandle = Handle<iree_vm_context_t, iree_vm_context_release>;
using ListHandle = Handle<iree_vm_list_t, iree_vm_list_release>;

// Where f() writes the object it makes: f(out(handle)).
template <typename H>
class Out {
 public:
  explicit Out(H& handle) : handle_(handle) {}
  ~Out() { handle_.reset(raw_); }
  Out(const Out&) = delete;
  Out& operator=(const Out&) = delete;
  operator typename H::pointer *() { return &raw_; }

 private:
  H& handle_;
  typename H::pointer raw_ = nullptr;
};
template <typename H>
Out<H> out(H& handle) {
  return Out<H>(handle);
}

// Takes `status`; an error reads "what: IREE's own message".
Status take(std::string_view what, iree_status_t status);

}  // namespace continuo::runtime::iree
