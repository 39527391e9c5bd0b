#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace continuo {

Progress::Progress(std::string task, int64_t total, bool enabled)
    : task_(std::move(task)),
      total_(std::max<int64_t>(total, 1)),
      enabled_(enabled),
      terminal_(isatty(STDERR_FILENO) == 1) {
  if (enabled_ && terminal_) draw("");
}

Progress::~Progress() {
  if (enabled_ && terminal_) fmt::print(stderr, "\r\033[K");
}

void Progress::advance(int64_t amount, const std::string& detail) {
  done_ = std::min(done_ + amount, total_);
  if (enabled_ && terminal_) draw(detail);
}

void Progress::draw(const std::string& detail) {
  const int percent = static_cast<int>(100 * done_ / total_);
  if (percent == drawn_percent_) return;
  drawn_percent_ = percent;
  constexpr int kWidth = 30;
  const int filled = kWidth * percent / 100;
  fmt::print(stderr, "\r\033[K{:<10} [{}{}] {:3}% {}", task_, std::string(size_t(filled), '#'),
             std::string(size_t(kWidth - filled), '.'), percent, detail);
  std::fflush(stderr);
}

}  // namespace continuo
