#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace continuo {
namespace {

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

Error system_error(const std::string& path, const char* action, int number) {
  const bool missing = number == ENOENT || number == ENOTDIR;
  return error(missing ? ErrorCode::kNotFound : ErrorCode::kUnavailable, "{}: cannot {}: {}", path,
               action, std::strerror(number));
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a pipe must fail below instead of waiting for its writer.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.value < 0) return system_error(path, "open", errno);
  struct stat status {};
  if (::fstat(file.value, &status) != 0) return system_error(path, "read the size", errno);
  if (!S_ISREG(status.st_mode))
    return error(ErrorCode::kInvalidArgument, "{}: wanted a regular file, got {}", path,
                 S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
  const size_t size = static_cast<size_t>(status.st_size);
  if (size == 0) return MappedFile(path, nullptr, 0);  // mmap refuses an empty range
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.value, 0);
  if (data == MAP_FAILED) return system_error(path, "map", errno);
  return MappedFile(path, static_cast<const std::byte*>(data), size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(size_t offset, size_t length) const {
  if (data_ == nullptr || offset >= size_) return;
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = offset / page * page;
  const size_t end = offset + std::min(length, size_ - offset);
  // Neighbours on the first and last page only have to be read again.
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

Result<std::string> read_text_file(const std::string& path, size_t limit) {
  CONTINUO_TRY(const MappedFile file, MappedFile::open(path));
  if (file.size() > limit)
    return error(ErrorCode::kResourceExhausted, "{}: wanted at most {} bytes, got {}", path, limit,
                 file.size());
  return std::string(reinterpret_cast<const char*>(file.bytes().data()), file.size());
}

}  // namespace continuo
