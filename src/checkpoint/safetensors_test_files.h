// For tests: safetensors files and model folders, written as told, lies included.
#pragma once

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors.h"

namespace continuo::checkpoint::testing_files {

// The container around a header and data given as they are.
inline std::string container(std::string_view header, std::string_view data) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i) & 255);
  return file.append(header).append(data);
}

// An honest file, tensor by tensor.
class Builder {
 public:
  template <typename T>
  Builder& add(const std::string& name, std::string_view dtype, const Shape& shape,
               const std::vector<T>& values) {
    const size_t begin = data_.size();
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    entries_ +=
        fmt::format("{}\"{}\":{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}}",
                    entries_.empty() ? "" : ",", name, dtype, shape.str(), begin, data_.size());
    return *this;
  }
  // Spaces after the header, to put the data at any alignment.
  std::string bytes(size_t padding = 0) const {
    return container("{" + entries_ + "}" + std::string(padding, ' '), data_);
  }

 private:
  std::string entries_, data_;
};

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// A folder of its own, gone afterwards.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "continuo.XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, std::string_view content) const {
    const std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }

 private:
  std::string path_;
};

}  // namespace continuo::checkpoint::testing_files
