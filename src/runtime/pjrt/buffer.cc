#include "runtime/pjrt/buffer.h"

#include <spdlog/spdlog.h>

#include <sys/mman.h>

#include <cstring>
#include <limits>

namespace continuo::runtime::pjrt {
namespace {

// From here on a copy on the way to a device of its own costs more than waiting for the transfer.
constexpr size_t kLargeTransfer = 1 << 20;

// XLA asks for an address even where there is nothing to read.
alignas(HostTensor::kAlignment) constexpr std::byte kNothing[HostTensor::kAlignment] = {};

struct Part {
  const std::byte* data;
  Shape shape;
  std::vector<int64_t> strides;  // empty when dense
};

// The `device`-th of `devices` parts of `host`, read in place with the whole array's strides.
Part cut(const HostView& host, const Shape& shape, Placement placement, size_t device) {
  Part part{host.data == nullptr ? kNothing : host.data, shape, {}};
  if (shape == host.shape) return part;
  part.strides.resize(shape.dims().size());
  int64_t stride = static_cast<int64_t>(byte_size(host.dtype));
  for (int64_t axis = shape.rank() - 1; axis >= 0; --axis) {
    part.strides[static_cast<size_t>(axis)] = stride;
    if (axis == placement.split_axis)
      part.data += static_cast<int64_t>(device) * shape[axis] * stride;
    stride *= host.shape[axis];
  }
  return part;
}

bool is_aligned(const std::byte* data) {
  return reinterpret_cast<uintptr_t>(data) % HostTensor::kAlignment == 0;
}

PJRT_HostBufferSemantics semantics(const Client& client, const HostView& host, const Part& part,
                                   HostLifetime lifetime) {
  if (client.on_host())
    return lifetime == HostLifetime::kBuffer && part.strides.empty() && is_aligned(part.data)
               ? PJRT_HostBufferSemantics_kImmutableZeroCopy
               : PJRT_HostBufferSemantics_kImmutableOnlyDuringCall;
  return lifetime == HostLifetime::kBuffer || host.bytes() >= kLargeTransfer
             ? PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes
             : PJRT_HostBufferSemantics_kImmutableOnlyDuringCall;
}

}  // namespace

PjrtBuffer::~PjrtBuffer() { consume(); }

void PjrtBuffer::consume() {
  for (PJRT_Buffer* part : parts_) client_.api().destroy(part);
  parts_.clear();
  for (PJRT_Event* event : host_in_use_)
    if (auto status = client_.api().await("host memory", event); !status.ok())
      spdlog::warn("{}", status.error().message);
  host_in_use_.clear();
}

Status PjrtBuffer::read_part(size_t device, std::span<std::byte> out) const {
  if (out.empty()) {
    CONTINUO_PJRT_ARGS(PJRT_Buffer_ReadyEvent, args);
    args.buffer = parts_[device];
    CONTINUO_RETURN_IF_ERROR(
        client_.api().call("download", &PJRT_Api::PJRT_Buffer_ReadyEvent, args));
    return client_.api().await("download", args.event);
  }
  CONTINUO_PJRT_ARGS(PJRT_Buffer_ToHostBuffer, args);
  args.src = parts_[device];
  args.dst = out.data();
  args.dst_size = out.size();
  CONTINUO_RETURN_IF_ERROR(
      client_.api().call("download", &PJRT_Api::PJRT_Buffer_ToHostBuffer, args));
  return client_.api().await("download", args.event);
}

Status PjrtBuffer::download(std::span<std::byte> out) const {
  CONTINUO_RETURN_IF_ERROR(check_download(out));
  if (placement_.split_axis == Placement::kWhole) return read_part(0, out);

  size_t rows = 1;
  for (int64_t axis = 0; axis < placement_.split_axis; ++axis)
    rows *= static_cast<size_t>(shape()[axis]);
  const size_t chunk = rows == 0 ? 0 : out.size() / parts_.size() / rows;
  std::vector<std::byte> part(out.size() / parts_.size());
  for (size_t device = 0; device < parts_.size(); ++device) {
    CONTINUO_RETURN_IF_ERROR(read_part(device, part));
    for (size_t row = 0; row < rows && chunk > 0; ++row)
      std::memcpy(out.data() + (row * parts_.size() + device) * chunk, part.data() + row * chunk,
                  chunk);
  }
  return {};
}

Result<BufferPtr> upload(const Client& client, const HostView& host, HostLifetime lifetime,
                         Placement placement) {
  CONTINUO_RETURN_IF_ERROR(check_host(host));
  const size_t devices = client.devices().size();
  CONTINUO_TRY(const Shape shape, part_shape(host.shape, placement, devices));
  auto buffer = std::make_unique<PjrtBuffer>(client, ArrayType{host.dtype, host.shape}, placement,
                                             std::vector<PJRT_Buffer*>(devices, nullptr));
  if (lifetime == HostLifetime::kBuffer) buffer->set_borrowed();
  for (size_t device = 0; device < devices; ++device) {
    const Part part = cut(host, shape, placement, device);
    CONTINUO_PJRT_ARGS(PJRT_Client_BufferFromHostBuffer, args);
    args.client = client.get();
    args.data = part.data;
    args.type = to_pjrt(host.dtype);
    args.dims = part.shape.dims().data();
    args.num_dims = part.shape.dims().size();
    args.byte_strides = part.strides.data();
    args.num_byte_strides = part.strides.size();
    args.host_buffer_semantics = semantics(client, host, part, lifetime);
    args.device = client.devices()[device];
    CONTINUO_RETURN_IF_ERROR(
        client.api().call("upload", &PJRT_Api::PJRT_Client_BufferFromHostBuffer, args));
    buffer->set_part(device, args.buffer);
    if (lifetime == HostLifetime::kBuffer &&
        args.host_buffer_semantics != PJRT_HostBufferSemantics_kImmutableOnlyDuringCall)
      buffer->borrow(args.done_with_host_buffer);
    else
      CONTINUO_RETURN_IF_ERROR(client.api().await("upload", args.done_with_host_buffer));
  }
  return BufferPtr(std::move(buffer));
}

namespace {

// Pages of zeros, unmapped by release() when the plugin no longer uses them.
struct Pages {
  const Api* api;
  void* address;
  size_t bytes;
  static void release(PJRT_Error* failure, void* self) {
    const std::unique_ptr<Pages> pages(static_cast<Pages*>(self));
    munmap(pages->address, pages->bytes);
    if (failure != nullptr) {
      CONTINUO_PJRT_ARGS(PJRT_Error_Destroy, args);
      args.error = failure;
      pages->api->get()->PJRT_Error_Destroy(&args);
    }
  }
};

}  // namespace

Result<BufferPtr> host_zeros(const Client& client, const ArrayType& type, Placement placement) {
  HostView host{type.dtype, type.shape, kNothing};
  CONTINUO_RETURN_IF_ERROR(check_host(host));
  const size_t devices = client.devices().size();
  CONTINUO_TRY(const Shape shape, part_shape(type.shape, placement, devices));
  auto buffer = std::make_unique<PjrtBuffer>(client, type, placement,
                                             std::vector<PJRT_Buffer*>(devices, nullptr));
  const size_t bytes = std::max<size_t>(1, HostView{type.dtype, shape, nullptr}.bytes());
  for (size_t device = 0; device < devices; ++device) {
    void* address =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED)
      return error(ErrorCode::kResourceExhausted, "no memory for {}: {}", type.str(),
                   std::strerror(errno));
    auto pages = std::make_unique<Pages>(Pages{&client.api(), address, bytes});
    CONTINUO_PJRT_ARGS(PJRT_Client_BufferFromHostBuffer, args);
    args.client = client.get();
    args.data = address;
    args.type = to_pjrt(type.dtype);
    args.dims = shape.dims().data();
    args.num_dims = shape.dims().size();
    args.host_buffer_semantics = PJRT_HostBufferSemantics_kMutableZeroCopy;
    args.device = client.devices()[device];
    Status status = client.api().call("zeros", &PJRT_Api::PJRT_Client_BufferFromHostBuffer, args);
    if (!status.ok()) {
      Pages::release(nullptr, pages.release());
      return std::move(status).error();
    }
    buffer->set_part(device, args.buffer);
    CONTINUO_PJRT_ARGS(PJRT_Event_OnReady, ready);
    ready.event = args.done_with_host_buffer;
    ready.callback = &Pages::release;
    ready.user_arg = pages.release();
    CONTINUO_RETURN_IF_ERROR(client.api().call("zeros", &PJRT_Api::PJRT_Event_OnReady, ready));
    client.api().destroy(args.done_with_host_buffer);
  }
  return BufferPtr(std::move(buffer));
}

}  // namespace continuo::runtime::pjrt
