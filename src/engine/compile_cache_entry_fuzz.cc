// The compile cache's files: whatever they hold, only what was signed is taken.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "engine/compile_cache_entry.h"

namespace {

using continuo::engine::entry_header;
using continuo::engine::entry_payload;

const std::string kKey(continuo::engine::kEntryKeyBytes, 'k');
const std::string kSecret(continuo::engine::kEntrySecretBytes, 's');

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  // As a file: what is accepted is what we would have written.
  if (const auto payload = entry_payload(bytes, kKey, kSecret); payload.ok())
    require(entry_header(kKey, *payload, kSecret) + std::string(*payload) == bytes);
  if (bytes.empty()) return 0;
  // As a payload: it comes back, but not with a bit changed, a byte less, or another key or secret.
  std::string entry = entry_header(kKey, bytes, kSecret) + std::string(bytes);
  const auto back = entry_payload(entry, kKey, kSecret);
  require(back.ok() && *back == bytes);
  require(!entry_payload(entry, kSecret, kSecret).ok());
  require(!entry_payload(entry, kKey, kKey).ok());
  require(!entry_payload(std::string_view(entry).substr(0, entry.size() - 1), kKey, kSecret).ok());
  const size_t place = (size_t{data[0]} * 257 + size) % entry.size();
  entry[place] = static_cast<char>(entry[place] ^ (1 << (data[size - 1] % 8)));
  require(!entry_payload(entry, kKey, kSecret).ok());
  return 0;
}
