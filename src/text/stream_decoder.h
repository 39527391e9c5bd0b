// StreamDecoder: the text of token ids that arrive one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

struct ContinuoStream;

namespace continuo::text {

// What push() has returned is always whole UTF-8 characters and is never taken back: at every
// moment it is a prefix of Tokenizer::decode() of all ids, whatever follows, and with flush() equal
// to it. A run of byte tokens of a SentencePiece vocabulary is held back until it ends, because the
// reference replaces all of it if one byte is wrong. Movable; one thread at a time.
class StreamDecoder {
 public:
  // The text that has become certain; often empty.
  Result<std::string> push(int32_t id);
  // The rest, unfinished characters as U+FFFD. The decoder starts anew.
  Result<std::string> flush();

 private:
  friend class Tokenizer;
  struct Free {
    void operator()(ContinuoStream* stream) const;
  };
  explicit StreamDecoder(ContinuoStream* stream) : stream_(stream) {}
  std::unique_ptr<ContinuoStream, Free> stream_;
};

}  // namespace continuo::text
