// JSON as Python's json module and transformers write it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace continuo::checkpoint {

struct JsonOptions {
  int max_depth = 128;       // of nested arrays and objects
  bool unique_keys = false;  // true: a key given twice is an error; false: its last value wins
};

// Parses one JSON text. Bare NaN, Infinity and -Infinity, and transformers'
// {"__float__": "Infinity"}, become floating-point values. Errors (kCorrupt) name `where`, usually
// the file, and the byte counted from 1: syntax, invalid UTF-8, nesting beyond the limit.
Result<nlohmann::json> parse_json(std::string_view text, const std::string& where,
                                  const JsonOptions& options = {});

}  // namespace continuo::checkpoint
