// MappedFile: a file's bytes, read-only, in the page cache's own memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/result.h"

namespace continuo {

// Owns the mapping; movable, not copyable. Const members may be called from any thread.
// The size is fixed at open: if another process truncates the file meanwhile, reading past its new
// end raises SIGBUS, as with any mapping. Replace a model file by renaming, never by rewriting it.
class MappedFile {
 public:
  // Maps a regular file. Errors: kNotFound, kInvalidArgument (a folder, a device, a pipe),
  // kUnavailable (permissions, the file system); the message names the path.
  static Result<MappedFile> open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::string& path() const { return path_; }
  size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Lets the kernel drop the resident pages that hold [offset, offset + length), clamped to the
  // file. The bytes stay readable: they come back from the page cache or the disk.
  void release(size_t offset, size_t length) const;

 private:
  MappedFile(std::string path, const std::byte* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// A whole small file (configuration, tokenizer) as text; kResourceExhausted above `limit` bytes.
Result<std::string> read_text_file(const std::string& path, size_t limit = size_t{256} << 20);

}  // namespace continuo
