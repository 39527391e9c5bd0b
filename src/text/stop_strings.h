// StopStrings: ends a stream of text at the first of some strings, wherever token borders fall.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace continuo::text {

// Text is held back only while it may be the beginning of a stop string; what has been returned is
// whole UTF-8 characters (given whole characters in) and never contains a stop string. When several
// match, the one that ends first cuts, the longest of those. One thread at a time.
class StopStrings {
 public:
  // Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops);

  // The text to show. After a stop string: what stood before it, and nothing from then on.
  std::string push(std::string_view text);
  // The text still held back; call at the end of the generation.
  std::string flush();
  bool stopped() const { return !matched_.empty(); }
  const std::string& matched() const { return matched_; }  // "" until stopped

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::string matched_;
};

}  // namespace continuo::text
