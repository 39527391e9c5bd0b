#include "text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace continuo::text {
namespace {

// Length of the longest proper prefix of `stop` that ends `text`.
size_t overlap(std::string_view text, std::string_view stop) {
  size_t length = std::min(text.size(), stop.size() - 1);
  while (length > 0 && !text.ends_with(stop.substr(0, length))) --length;
  return length;
}

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

}  // namespace

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopStrings::push(std::string_view text) {
  if (stopped()) return "";
  held_ += text;
  size_t best_start = 0, best_end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t start = held_.find(stop);
    if (start == std::string::npos) continue;
    const size_t end = start + stop.size();
    if (end > best_end || (end == best_end && start >= best_start)) continue;
    best_start = start;
    best_end = end;
    matched_ = stop;
  }
  if (stopped()) {
    held_.resize(best_start);
    return std::exchange(held_, {});
  }
  size_t keep = 0;
  for (const std::string& stop : stops_) keep = std::max(keep, overlap(held_, stop));
  size_t cut = held_.size() - keep;
  // A stop string that is no whole UTF-8 must not split a character.
  while (cut > 0 && cut < held_.size() && is_continuation(held_[cut])) --cut;
  std::string ready = held_.substr(0, cut);
  held_.erase(0, cut);
  return ready;
}

std::string StopStrings::flush() { return std::exchange(held_, {}); }

}  // namespace continuo::text
