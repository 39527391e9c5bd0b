// StopStrings: ends a stream of text at the first of some strings, wherever token borders fall.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace continuo::text {

// Text is held back only while it may be the beginning of a stop string; what has been returned is
// whole UTF-8 characters (given whole characters in) and never contains a stop string. When several
// match, the one that ends first cuts, the longest of those. A byte costs a few steps for each
// string, however long the strings and the text are. One thread at a time.
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
  // The automaton of Knuth, Morris and Pratt for one string.
  struct Stop {
    std::string text;
    std::vector<uint32_t> border;  // [i]: longest proper prefix of text[0, i] that also ends it
    size_t matched = 0;            // bytes of `text` that end what has been pushed
    bool advance(char byte);       // true: all of it
  };
  std::vector<Stop> stops_;
  std::string held_;
  std::string matched_;
};

}  // namespace continuo::text
