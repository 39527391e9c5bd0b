#include "base/host_tensor.h"

#include <cstdlib>
#include <new>

namespace continuo {

HostTensor::HostTensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
  bytes_ = static_cast<size_t>(shape_.elements()) * byte_size(dtype_);
  const size_t rounded = (bytes_ + kAlignment) / kAlignment * kAlignment;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded));
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, rounded);
  data_.reset(memory);
}

void HostTensor::Free::operator()(std::byte* pointer) const { std::free(pointer); }

}  // namespace continuo
