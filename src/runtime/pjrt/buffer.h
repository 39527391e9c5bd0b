// Buffers of a PJRT client: one PJRT_Buffer a device.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/arguments.h"
#include "runtime/executor.h"
#include "runtime/pjrt/client.h"
#include "runtime/signature.h"

namespace continuo::runtime::pjrt {

class PjrtBuffer final : public TypedBuffer {
 public:
  // Takes the `parts`, in the devices' order.
  PjrtBuffer(const Client& client, ArrayType type, Placement placement,
             std::vector<PJRT_Buffer*> parts)
      : TypedBuffer(&client, std::move(type)),
        client_(client),
        placement_(placement),
        parts_(std::move(parts)) {}
  ~PjrtBuffer() override;
  PjrtBuffer(const PjrtBuffer&) = delete;
  PjrtBuffer& operator=(const PjrtBuffer&) = delete;

  Status download(std::span<std::byte> out) const override;

  // States how the parts make up a whole array, once that is known.
  void reinterpret(ArrayType type, Placement placement) {
    set_type(std::move(type));
    placement_ = placement;
  }
  PJRT_Buffer* part(size_t device) const { return parts_[device]; }
  void set_part(size_t device, PJRT_Buffer* part) { parts_[device] = part; }
  bool consumed() const override { return parts_.empty(); }
  void consume();

  // Host memory this buffer may read until `event`; freeing the buffer waits for it, because a
  // run that was launched with it may still be reading.
  void borrow(PJRT_Event* event) { host_in_use_.push_back(event); }

 private:
  Status read_part(size_t device, std::span<std::byte> out) const;

  const Client& client_;
  Placement placement_;
  std::vector<PJRT_Buffer*> parts_;
  std::vector<PJRT_Event*> host_in_use_;
};

// Executor::upload, with its rules.
Result<BufferPtr> upload(const Client& client, const HostView& host, HostLifetime lifetime,
                         Placement placement);

// Executor::zeros where device memory is host memory: fresh pages, which the system zeroes when
// they are first touched, so that a large array costs what is used of it.
Result<BufferPtr> host_zeros(const Client& client, const ArrayType& type, Placement placement);

}  // namespace continuo::runtime::pjrt
