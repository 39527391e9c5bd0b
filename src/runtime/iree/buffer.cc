#include "runtime/iree/buffer.h"

#include <spdlog/spdlog.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "runtime/iree/transfer.h"

namespace continuo::runtime::iree {
namespace {

iree_hal_element_type_t element_type(DType dtype) {
  switch (dtype) {
    case DType::kPred:
      return IREE_HAL_ELEMENT_TYPE_BOOL_8;
    case DType::kI8:
      return IREE_HAL_ELEMENT_TYPE_INT_8;
    case DType::kU8:
      return IREE_HAL_ELEMENT_TYPE_UINT_8;
    case DType::kI16:
      return IREE_HAL_ELEMENT_TYPE_INT_16;
    case DType::kU16:
      return IREE_HAL_ELEMENT_TYPE_UINT_16;
    case DType::kI32:
      return IREE_HAL_ELEMENT_TYPE_INT_32;
    case DType::kU32:
      return IREE_HAL_ELEMENT_TYPE_UINT_32;
    case DType::kI64:
      return IREE_HAL_ELEMENT_TYPE_INT_64;
    case DType::kU64:
      return IREE_HAL_ELEMENT_TYPE_UINT_64;
    case DType::kF16:
      return IREE_HAL_ELEMENT_TYPE_FLOAT_16;
    case DType::kBF16:
      return IREE_HAL_ELEMENT_TYPE_BFLOAT_16;
    case DType::kF32:
      return IREE_HAL_ELEMENT_TYPE_FLOAT_32;
    case DType::kF64:
      return IREE_HAL_ELEMENT_TYPE_FLOAT_64;
  }
  return IREE_HAL_ELEMENT_TYPE_NONE;
}

// What programs ask of the arrays they are given.
constexpr iree_hal_buffer_params_t kParams = {
    .usage = IREE_HAL_BUFFER_USAGE_DEFAULT,
    .access = IREE_HAL_MEMORY_ACCESS_ALL,
    .type = IREE_HAL_MEMORY_TYPE_DEVICE_LOCAL,
};

iree_device_size_t bytes_of(const ArrayType& type) {
  return static_cast<iree_device_size_t>(type.shape.elements()) * byte_size(type.dtype);
}

// An array without elements has memory all the same: IREE refuses a buffer of no bytes.
iree_device_size_t allocated(const ArrayType& type) {
  return std::max<iree_device_size_t>(bytes_of(type), HostTensor::kAlignment);
}

Result<BufferViewHandle> view_as(const ArrayType& type, iree_hal_buffer_t* memory) {
  std::vector<iree_hal_dim_t> dims(type.shape.dims().begin(), type.shape.dims().end());
  BufferViewHandle view;
  CONTINUO_RETURN_IF_ERROR(take(
      type.str(), iree_hal_buffer_view_create(
                      memory, dims.size(), dims.data(), element_type(type.dtype),
                      IREE_HAL_ENCODING_TYPE_DENSE_ROW_MAJOR, iree_allocator_system(), out(view))));
  return view;
}

Result<BufferHandle> allocate(Device& device, const ArrayType& type) {
  BufferHandle memory;
  CONTINUO_RETURN_IF_ERROR(
      take(type.str(), iree_hal_allocator_allocate_buffer(device.allocator(), kParams,
                                                          allocated(type), out(memory))));
  return memory;
}

// Memory of the host as the device's; `release` is called when nothing uses it any more.
Result<BufferHandle> import(Device& device, const ArrayType& type, void* address,
                            iree_hal_buffer_release_callback_t release) {
  iree_hal_external_buffer_t external{};
  external.type = IREE_HAL_EXTERNAL_BUFFER_TYPE_HOST_ALLOCATION;
  external.size = allocated(type);
  external.handle.host_allocation.ptr = address;
  BufferHandle memory;
  CONTINUO_RETURN_IF_ERROR(
      take(type.str(), iree_hal_allocator_import_buffer(device.allocator(), kParams, &external,
                                                        release, out(memory))));
  return memory;
}

bool readable_in_place(const Device& device, const HostView& host) {
  return device.on_host() && host.bytes() >= HostTensor::kAlignment &&
         reinterpret_cast<uintptr_t>(host.data) % HostTensor::kAlignment == 0;
}

struct Pages {
  void* address;
  size_t bytes;
  static void release(void* self, iree_hal_buffer_t*) {
    const std::unique_ptr<Pages> pages(static_cast<Pages*>(self));
    munmap(pages->address, pages->bytes);
  }
};

// Fresh pages, which the system zeroes when they are first touched.
Result<BufferHandle> zero_pages(Device& device, const ArrayType& type) {
  const size_t bytes = allocated(type);
  void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED)
    return error(ErrorCode::kResourceExhausted, "no memory for {}: {}", type.str(),
                 std::strerror(errno));
  auto pages = std::make_unique<Pages>(Pages{address, bytes});
  auto memory = import(device, type, address, {&Pages::release, pages.get()});
  if (memory.ok())
    static_cast<void>(pages.release());
  else
    munmap(address, bytes);
  return memory;
}

Result<BufferHandle> zero_memory(Device& device, const ArrayType& type) {
  CONTINUO_TRY(BufferHandle memory, allocate(device, type));
  CONTINUO_RETURN_IF_ERROR(fill_with_zero(device, memory.get(), allocated(type)));
  return memory;
}

}  // namespace

IreeBuffer::~IreeBuffer() {
  static_cast<void>(device_.enter());
  if (!borrowed() || consumed()) return;
  auto timeline = device_.timeline();
  if (!timeline.ok()) return;
  if (const Status status = (*timeline)->wait((*timeline)->last); !status.ok())
    spdlog::warn("{}", status.error().message);
}

Status IreeBuffer::ready() const {
  return timeline_ == nullptr ? Status() : timeline_->wait(step_);
}

Status IreeBuffer::usable(const Timeline& now) const {
  return timeline_ == nullptr || timeline_.get() == &now ? Status() : timeline_->wait(step_);
}

Status IreeBuffer::download(std::span<std::byte> out) const {
  CONTINUO_RETURN_IF_ERROR(check_download(out));
  CONTINUO_RETURN_IF_ERROR(device_.enter());
  CONTINUO_RETURN_IF_ERROR(ready());
  return out.empty() ? Status() : to_host(device_, memory(), out);
}

Result<BufferPtr> upload(Device& device, const HostView& host, HostLifetime lifetime,
                         Placement placement) {
  CONTINUO_RETURN_IF_ERROR(check_host(host));
  CONTINUO_RETURN_IF_ERROR(part_shape(host.shape, placement, 1));
  CONTINUO_RETURN_IF_ERROR(device.enter());
  const ArrayType type{host.dtype, host.shape};
  BufferHandle memory;
  if (lifetime == HostLifetime::kBuffer && readable_in_place(device, host)) {
    // Nothing writes it: a run that would copies it first, and it cannot be donated.
    CONTINUO_TRY(memory, import(device, type, const_cast<std::byte*>(host.data),
                                iree_hal_buffer_release_callback_null()));
  } else {
    CONTINUO_TRY(memory, allocate(device, type));
    if (host.bytes() > 0)
      CONTINUO_RETURN_IF_ERROR(
          to_device(device, {host.data, static_cast<size_t>(host.bytes())}, memory.get()));
  }
  CONTINUO_TRY(BufferViewHandle view, view_as(type, memory.get()));
  auto buffer = std::make_unique<IreeBuffer>(device, type, std::move(view), nullptr, 0);
  if (lifetime == HostLifetime::kBuffer) buffer->set_borrowed();
  return BufferPtr(std::move(buffer));
}

Result<BufferPtr> zeros(Device& device, const ArrayType& type, Placement placement) {
  static constexpr std::byte kSomething{};
  CONTINUO_RETURN_IF_ERROR(check_host({type.dtype, type.shape, &kSomething}));
  CONTINUO_RETURN_IF_ERROR(part_shape(type.shape, placement, 1));
  CONTINUO_RETURN_IF_ERROR(device.enter());
  CONTINUO_TRY(BufferHandle memory,
               device.on_host() ? zero_pages(device, type) : zero_memory(device, type));
  CONTINUO_TRY(BufferViewHandle view, view_as(type, memory.get()));
  return BufferPtr(std::make_unique<IreeBuffer>(device, type, std::move(view), nullptr, 0));
}

Result<BufferViewHandle> copy(Device& device, const IreeBuffer& source) {
  CONTINUO_RETURN_IF_ERROR(source.ready());
  CONTINUO_TRY(BufferHandle memory, allocate(device, source.type()));
  if (bytes_of(source.type()) > 0)
    CONTINUO_RETURN_IF_ERROR(
        on_device(device, source.memory(), memory.get(), bytes_of(source.type())));
  return view_as(source.type(), memory.get());
}

}  // namespace continuo::runtime::iree
