// Buffers of a PJRT client: one PJRT_Buffer a device.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/executor.h"
#include "runtime/pjrt/client.h"
#include "runtime/signature.h"

namespace continuo::runtime::pjrt {

class PjrtBuffer final : public Buffer {
 public:
  // Takes the `parts`, in the devices' order.
  PjrtBuffer(const Client& client, ArrayType type, Placement placement,
             std::vector<PJRT_Buffer*> parts)
      : client_(client), type_(std::move(type)), placement_(placement), parts_(std::move(parts)) {}
  ~PjrtBuffer() override;
  PjrtBuffer(const PjrtBuffer&) = delete;
  PjrtBuffer& operator=(const PjrtBuffer&) = delete;

  DType dtype() const override { return type_.dtype; }
  const Shape& shape() const override { return type_.shape; }
  Status download(std::span<std::byte> out) const override;

  const Client& client() const { return client_; }
  const ArrayType& type() const { return type_; }
  // States how the parts make up a whole array, once that is known.
  void reinterpret(ArrayType type, Placement placement) {
    type_ = std::move(type);
    placement_ = placement;
  }
  PJRT_Buffer* part(size_t device) const { return parts_[device]; }
  void set_part(size_t device, PJRT_Buffer* part) { parts_[device] = part; }
  // Donated to a run: nothing is left of it.
  bool consumed() const { return parts_.empty(); }
  void consume();

  // Host memory this buffer may read until `event`; freeing the buffer waits for it, because a
  // run that was launched with it may still be reading.
  void borrow(PJRT_Event* event) { host_in_use_.push_back(event); }
  // Uploaded with HostLifetime::kBuffer: never donated, whether or not this device copied it.
  void set_borrowed() { borrowed_ = true; }
  bool borrowed() const { return borrowed_; }

  // The run that last donated it: how a run finds an array that it was given twice.
  uint64_t donated_in_run = 0;

 private:
  Status read_part(size_t device, std::span<std::byte> out) const;

  const Client& client_;
  ArrayType type_;
  Placement placement_;
  std::vector<PJRT_Buffer*> parts_;
  std::vector<PJRT_Event*> host_in_use_;
  bool borrowed_ = false;
};

// The shape of one device's part. kInvalidArgument for an axis that is not there or that the
// devices do not divide.
Result<Shape> part_shape(const Shape& shape, Placement placement, size_t devices);

// Executor::upload, with its rules.
Result<BufferPtr> upload(const Client& client, const HostView& host, HostLifetime lifetime,
                         Placement placement);

// Executor::zeros where device memory is host memory: fresh pages, which the system zeroes when
// they are first touched, so that a large array costs what is used of it.
Result<BufferPtr> host_zeros(const Client& client, const ArrayType& type, Placement placement);

}  // namespace continuo::runtime::pjrt
