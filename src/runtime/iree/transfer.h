// Bytes between the host and a device's memory. Each returns when the bytes are where they should
// be. Executor's thread only.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/iree/device.h"

namespace continuo::runtime::iree {

// `host` to the start of `memory`, which nothing uses yet.
Status to_device(Device& device, std::span<const std::byte> host, iree_hal_buffer_t* memory);
// The first out.size() bytes of `memory`, which no run writes any more.
Status to_host(Device& device, iree_hal_buffer_t* memory, std::span<std::byte> out);
// The first `bytes` of `source` to the start of `target`.
Status on_device(Device& device, iree_hal_buffer_t* source, iree_hal_buffer_t* target,
                 iree_device_size_t bytes);
// Zeroes the first `bytes` of `memory`.
Status fill_with_zero(Device& device, iree_hal_buffer_t* memory, iree_device_size_t bytes);

}  // namespace continuo::runtime::iree
