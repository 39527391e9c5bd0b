#include "text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace continuo::text {
namespace {

std::vector<uint32_t> borders(const std::string& text) {
  std::vector<uint32_t> border(text.size(), 0);
  for (size_t i = 1; i < text.size(); ++i) {
    uint32_t length = border[i - 1];
    while (length > 0 && text[i] != text[length]) length = border[length - 1];
    border[i] = length + (text[i] == text[length] ? 1 : 0);
  }
  return border;
}

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

}  // namespace

StopStrings::StopStrings(std::vector<std::string> stops) {
  for (std::string& stop : stops) {
    if (stop.empty()) continue;
    std::vector<uint32_t> border = borders(stop);
    stops_.push_back({std::move(stop), std::move(border), 0});
  }
}

bool StopStrings::Stop::advance(char byte) {
  while (matched > 0 && text[matched] != byte) matched = border[matched - 1];
  if (text[matched] == byte) ++matched;
  return matched == text.size();
}

std::string StopStrings::push(std::string_view text) {
  if (stopped()) return "";
  if (stops_.empty()) return std::string(text);
  for (const char byte : text) {
    held_ += byte;
    for (Stop& stop : stops_)
      if (stop.advance(byte) && stop.text.size() > matched_.size()) matched_ = stop.text;
    if (!stopped()) continue;
    held_.resize(held_.size() - matched_.size());
    return std::exchange(held_, {});
  }
  size_t keep = 0;
  for (const Stop& stop : stops_) keep = std::max(keep, stop.matched);
  size_t cut = held_.size() - keep;
  // A stop string that is no whole UTF-8 must not split a character.
  while (cut > 0 && cut < held_.size() && is_continuation(held_[cut])) --cut;
  std::string ready = held_.substr(0, cut);
  held_.erase(0, cut);
  return ready;
}

std::string StopStrings::flush() { return std::exchange(held_, {}); }

}  // namespace continuo::text
