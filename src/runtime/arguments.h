// What every executor's buffers and runs check alike.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "runtime/executor.h"
#include "runtime/signature.h"

namespace continuo::runtime {

// A Buffer that knows its type, whose it is and whether it may be donated. Its executor's thread
// only.
class TypedBuffer : public Buffer {
 public:
  DType dtype() const override { return type_.dtype; }
  const Shape& shape() const override { return type_.shape; }
  const ArrayType& type() const { return type_; }
  const void* owner() const { return owner_; }

  // Donated to a run: nothing is left of it.
  virtual bool consumed() const = 0;
  // Uploaded with HostLifetime::kBuffer: never donated, whether or not this device copied it.
  void set_borrowed() { borrowed_ = true; }
  bool borrowed() const { return borrowed_; }

  // The run that last donated it: how a run finds an array that it was given twice.
  uint64_t donated_in_run = 0;

 protected:
  // `owner` tells one executor's buffers from another's.
  TypedBuffer(const void* owner, ArrayType type) : owner_(owner), type_(std::move(type)) {}
  void set_type(ArrayType type) { type_ = std::move(type); }
  // kInvalidArgument for a consumed buffer or a destination of another size.
  Status check_download(std::span<const std::byte> out) const;

 private:
  const void* owner_;
  ArrayType type_;
  bool borrowed_ = false;
};

// Whether `arguments` are what `signature` wants: TypedBuffers of `owner`, none of them consumed, a
// donated one given once and not borrowed. kInvalidArgument names the argument.
Status check_arguments(const Signature& signature, std::span<Buffer* const> arguments,
                       const void* owner);

// kInvalidArgument for a negative size, one larger than memory, or missing data.
Status check_host(const HostView& host);

// The shape of one device's part. kInvalidArgument for an axis that is not there or that the
// devices do not divide.
Result<Shape> part_shape(const Shape& shape, Placement placement, size_t devices);

}  // namespace continuo::runtime
