// The sizes of an array, outermost first.
#pragma once

#include <fmt/format.h>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace continuo {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<int64_t> dims) : dims_(std::move(dims)) {}

  int64_t rank() const { return static_cast<int64_t>(dims_.size()); }
  int64_t operator[](int64_t i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t& operator[](int64_t i) { return dims_[static_cast<size_t>(i)]; }
  const std::vector<int64_t>& dims() const { return dims_; }
  int64_t elements() const {
    int64_t product = 1;
    for (int64_t dim : dims_) product *= dim;
    return product;
  }
  bool operator==(const Shape& other) const { return dims_ == other.dims_; }
  bool operator!=(const Shape& other) const { return dims_ != other.dims_; }

  std::string str() const;  // "[3,7,4]"

 private:
  std::vector<int64_t> dims_;
};

}  // namespace continuo

template <>
struct fmt::formatter<continuo::Shape> : fmt::formatter<std::string> {
  auto format(const continuo::Shape& shape, fmt::format_context& context) const {
    return fmt::formatter<std::string>::format(shape.str(), context);
  }
};
