// Writes small GGUF files in memory, right and wrong ones, for tests.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace continuo::checkpoint {

class GgufBytes {
 public:
  explicit GgufBytes(uint32_t version = 3) { text("GGUF").put(version); }

  template <typename T>
  GgufBytes& put(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }
  GgufBytes& text(std::string_view value) {
    for (char c : value) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  GgufBytes& string(std::string_view value) { return put<uint64_t>(value.size()).text(value); }
  GgufBytes& counts(uint64_t tensors, uint64_t keys) {
    return put<uint64_t>(tensors).put<uint64_t>(keys);
  }
  GgufBytes& key(std::string_view name, uint32_t type) { return string(name).put<uint32_t>(type); }
  GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& ne, uint32_t type,
                    uint64_t offset) {
    string(name).put<uint32_t>(static_cast<uint32_t>(ne.size()));
    for (uint64_t size : ne) put<uint64_t>(size);
    return put<uint32_t>(type).put<uint64_t>(offset);
  }
  GgufBytes& pad(size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  GgufBytes& zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace continuo::checkpoint
