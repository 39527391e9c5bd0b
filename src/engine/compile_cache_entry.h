// The files of the compile cache: a header and the payload, signed with the user's secret
// (HMAC-SHA256), so that only what this user's programs wrote is ever loaded.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace continuo::engine {

inline constexpr size_t kEntryKeyBytes = 32;     // names what was compiled
inline constexpr size_t kEntrySecretBytes = 32;  // only the user has it
inline constexpr unsigned kEntryVersion = 2;

// What stands before the payload. `key` and `secret` have the sizes above.
std::string entry_header(std::string_view key, std::string_view payload, std::string_view secret);
// The payload of a whole file, into `entry`. kCorrupt: damaged, of another key, or not signed with
// this secret.
Result<std::string_view> entry_payload(std::string_view entry, std::string_view key,
                                       std::string_view secret);

// The user's secret, from $XDG_STATE_HOME/continuo or ~/.local/state/continuo, made when it is
// first wanted. kInvalidArgument: others could read or change it; else there is no place for it.
Result<std::string> cache_secret();

}  // namespace continuo::engine
