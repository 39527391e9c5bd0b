#include "base/host_tensor.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace continuo {
namespace {

// A CPU reads every weight at each step: over pages of 4 KiB it looks up addresses half a million
// times for 2 GB. Where the system gives none, the advice changes nothing.
constexpr size_t kHugePage = 2 << 20;
constexpr size_t kWorthHugePages = 8 * kHugePage;

std::byte* allocate(size_t bytes, size_t alignment) {
  const bool huge = bytes >= kWorthHugePages;
  if (huge) alignment = kHugePage;
  const size_t rounded = (bytes + alignment) / alignment * alignment;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(alignment, rounded));
  if (memory == nullptr) throw std::bad_alloc();
  if (huge) madvise(memory, rounded, MADV_HUGEPAGE);
  return memory;
}

}  // namespace

HostTensor::HostTensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
  bytes_ = static_cast<size_t>(shape_.elements()) * byte_size(dtype_);
  data_.reset(allocate(bytes_, kAlignment));
  std::memset(data_.get(), 0, bytes_);
}

void HostTensor::Free::operator()(std::byte* pointer) const { std::free(pointer); }

}  // namespace continuo
