// Share: counts a thing for as long as it lasts.
#pragma once

namespace continuo::server {

// Of the thread that `total` belongs to, and outlived by it.
template <typename T>
class Share {
 public:
  Share(T& total, T amount) : total_(total), amount_(amount) { total_ += amount_; }
  ~Share() { total_ -= amount_; }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

 private:
  T& total_;
  T amount_;
};

}  // namespace continuo::server
