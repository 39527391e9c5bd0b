// Buffers of an IREE device.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "runtime/arguments.h"
#include "runtime/iree/device.h"

namespace continuo::runtime::iree {

class IreeBuffer final : public TypedBuffer {
 public:
  // `view` is written by run `step` of `timeline`; without a timeline it is there already.
  IreeBuffer(Device& device, ArrayType type, BufferViewHandle view,
             std::shared_ptr<Timeline> timeline, uint64_t step)
      : TypedBuffer(&device, std::move(type)),
        device_(device),
        view_(std::move(view)),
        timeline_(std::move(timeline)),
        step_(step) {}
  // Waits for the runs that may read the caller's memory, where it is the caller's.
  ~IreeBuffer() override;

  Status download(std::span<std::byte> out) const override;
  bool consumed() const override { return view_ == nullptr; }
  void consume() { view_.reset(); }

  iree_hal_buffer_view_t* view() const { return view_.get(); }
  iree_hal_buffer_t* memory() const { return iree_hal_buffer_view_buffer(view_.get()); }
  // Waits for the run that computes it, whose error this is.
  Status ready() const;
  // The error of the run that computes it, if that has failed already; does not wait.
  Status usable(const Timeline& now) const;

 private:
  Device& device_;
  BufferViewHandle view_;
  std::shared_ptr<Timeline> timeline_;
  uint64_t step_;
};

// Executor::upload and Executor::zeros, with their rules.
Result<BufferPtr> upload(Device& device, const HostView& host, HostLifetime lifetime,
                         Placement placement);
Result<BufferPtr> zeros(Device& device, const ArrayType& type, Placement placement);

// A copy on the device of what `source` holds; waits until it is there.
Result<BufferViewHandle> copy(Device& device, const IreeBuffer& source);

}  // namespace continuo::runtime::iree
