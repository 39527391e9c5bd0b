// Progress on stderr: a bar on a terminal, nothing elsewhere.
#pragma once

#include <cstdint>
#include <string>

namespace continuo {

// One task's bar. Not copied; one thread. Silent when `enabled` is false.
class Progress {
 public:
  Progress(std::string task, int64_t total, bool enabled);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void advance(int64_t amount, const std::string& detail = "");

 private:
  void draw(const std::string& detail);
  std::string task_;
  int64_t total_, done_ = 0;
  int drawn_percent_ = -1;
  bool enabled_, terminal_;
};

}  // namespace continuo
