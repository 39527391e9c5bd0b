#include "runtime/iree/transfer.h"

#include <algorithm>

namespace continuo::runtime::iree {
namespace {

Status copy_range(Device& device, iree_hal_buffer_t* source, iree_device_size_t from,
                  iree_hal_buffer_t* target, iree_device_size_t to, iree_device_size_t bytes) {
  return take("copy", iree_hal_device_transfer_d2d(device.hal(), source, from, target, to, bytes,
                                                   IREE_HAL_TRANSFER_BUFFER_FLAG_DEFAULT,
                                                   iree_infinite_timeout()));
}

// Calls step(offset, bytes) for pieces of `total` that the staging memory holds.
template <typename Step>
Status by_pieces(size_t total, Step step) {
  for (size_t offset = 0; offset < total; offset += Device::kStagingBytes)
    CONTINUO_RETURN_IF_ERROR(step(offset, std::min(total - offset, Device::kStagingBytes)));
  return {};
}

}  // namespace

Status to_device(Device& device, std::span<const std::byte> host, iree_hal_buffer_t* memory) {
  if (device.on_host() || host.size() <= IREE_HAL_COMMAND_BUFFER_MAX_UPDATE_SIZE)
    return take("upload", iree_hal_device_transfer_h2d(
                              device.hal(), host.data(), memory, 0, host.size(),
                              IREE_HAL_TRANSFER_BUFFER_FLAG_DEFAULT, iree_infinite_timeout()));
  CONTINUO_TRY(iree_hal_buffer_t * staging, device.staging());
  return by_pieces(host.size(), [&](size_t offset, size_t bytes) -> Status {
    CONTINUO_RETURN_IF_ERROR(
        take("upload", iree_hal_buffer_map_write(staging, 0, host.data() + offset, bytes)));
    return copy_range(device, staging, 0, memory, offset, bytes);
  });
}

Status to_host(Device& device, iree_hal_buffer_t* memory, std::span<std::byte> out) {
  if (device.on_host())
    return take("download", iree_hal_device_transfer_d2h(
                                device.hal(), memory, 0, out.data(), out.size(),
                                IREE_HAL_TRANSFER_BUFFER_FLAG_DEFAULT, iree_infinite_timeout()));
  CONTINUO_TRY(iree_hal_buffer_t * staging, device.staging());
  return by_pieces(out.size(), [&](size_t offset, size_t bytes) -> Status {
    CONTINUO_RETURN_IF_ERROR(copy_range(device, memory, offset, staging, 0, bytes));
    return take("download", iree_hal_buffer_map_read(staging, 0, out.data() + offset, bytes));
  });
}

Status on_device(Device& device, iree_hal_buffer_t* source, iree_hal_buffer_t* target,
                 iree_device_size_t bytes) {
  return copy_range(device, source, 0, target, 0, bytes);
}

Status fill_with_zero(Device& device, iree_hal_buffer_t* memory, iree_device_size_t bytes) {
  CONTINUO_TRY(const auto timeline, Timeline::create(device.hal()));
  CONTINUO_TRY(const FenceHandle filled, timeline->fence(1));
  constexpr uint8_t kZero = 0;
  CONTINUO_RETURN_IF_ERROR(take(
      "zeros", iree_hal_device_queue_fill(device.hal(), IREE_HAL_QUEUE_AFFINITY_ANY,
                                          iree_hal_semaphore_list_empty(),
                                          iree_hal_fence_semaphore_list(filled.get()), memory, 0,
                                          bytes, &kZero, sizeof(kZero), IREE_HAL_FILL_FLAG_NONE)));
  return timeline->wait(1);
}

}  // namespace continuo::runtime::iree
