// An array in host memory, 64-byte aligned (what both CPU plugins need to take it without a copy).
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

#include "base/dtype.h"
#include "base/shape.h"

namespace continuo {

// A borrowed array: whoever made it keeps the bytes alive. Row-major, dense.
struct HostView {
  DType dtype = DType::kF32;
  Shape shape;
  const std::byte* data = nullptr;
  size_t bytes() const { return static_cast<size_t>(shape.elements()) * byte_size(dtype); }
};

// Owns its bytes; movable, not copyable. Any thread.
class HostTensor {
 public:
  static constexpr size_t kAlignment = 64;
  HostTensor() = default;
  HostTensor(DType dtype, Shape shape);  // zeroed

  template <typename T>
  static HostTensor of(DType dtype, Shape shape, std::span<const T> values);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  size_t bytes() const { return bytes_; }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  template <typename T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data_.get()), bytes_ / sizeof(T)};
  }
  template <typename T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data_.get()), bytes_ / sizeof(T)};
  }
  HostView view() const { return {dtype_, shape_, data_.get()}; }

 private:
  struct Free {
    void operator()(std::byte* pointer) const;
  };
  DType dtype_ = DType::kF32;
  Shape shape_;
  size_t bytes_ = 0;
  std::unique_ptr<std::byte[], Free> data_;
};

template <typename T>
HostTensor HostTensor::of(DType dtype, Shape shape, std::span<const T> values) {
  HostTensor tensor(dtype, std::move(shape));
  std::memcpy(tensor.data(), values.data(), std::min(tensor.bytes(), values.size_bytes()));
  return tensor;
}

}  // namespace continuo
