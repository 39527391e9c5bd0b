#include "engine/compile_cache_entry.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace continuo::engine {
namespace {

using Tag = std::array<unsigned char, 32>;

// Little endian, as written.
struct Header {
  std::array<char, 8> magic{'C', 'O', 'N', 'T', 'E', 'X', 'E', 'C'};
  uint32_t version = kEntryVersion;
  uint32_t header_bytes = 0;
  std::array<unsigned char, kEntryKeyBytes> key{};
  uint64_t payload_bytes = 0;
  Tag tag{};  // of all of the above and the payload
};
static_assert(sizeof(Header) == 88, "no padding: the header is written as it lies");

Tag sign(const Header& header, std::string_view payload, std::string_view secret) {
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac(
      EVP_MAC_fetch(nullptr, "HMAC", nullptr), EVP_MAC_free);
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(
      EVP_MAC_CTX_new(mac.get()), EVP_MAC_CTX_free);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  Tag tag{};
  size_t size = 0;
  const bool done =
      context != nullptr &&
      EVP_MAC_init(context.get(), reinterpret_cast<const unsigned char*>(secret.data()),
                   secret.size(), parameters) == 1 &&
      EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(&header),
                     offsetof(Header, tag)) == 1 &&
      EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(payload.data()),
                     payload.size()) == 1 &&
      EVP_MAC_final(context.get(), tag.data(), &size, tag.size()) == 1 && size == tag.size();
  if (!done) throw std::bad_alloc();  // its only way to fail
  return tag;
}

Header header_of(std::string_view key, std::string_view payload) {
  Header header;
  header.header_bytes = sizeof(Header);
  std::memcpy(header.key.data(), key.data(), header.key.size());
  header.payload_bytes = payload.size();
  return header;
}

}  // namespace

std::string entry_header(std::string_view key, std::string_view payload, std::string_view secret) {
  Header header = header_of(key, payload);
  header.tag = sign(header, payload, secret);
  return {reinterpret_cast<const char*>(&header), sizeof(header)};
}

Result<std::string_view> entry_payload(std::string_view entry, std::string_view key,
                                       std::string_view secret) {
  if (entry.size() <= sizeof(Header))
    return error(ErrorCode::kCorrupt, "expected more than {} bytes, got {}", sizeof(Header),
                 entry.size());
  const std::string_view payload = entry.substr(sizeof(Header));
  const Header wanted = header_of(key, payload);
  if (std::memcmp(entry.data(), &wanted, offsetof(Header, tag)) != 0)
    return error(ErrorCode::kCorrupt, "its header is damaged, or of something else");
  const Tag tag = sign(wanted, payload, secret);
  if (CRYPTO_memcmp(entry.data() + offsetof(Header, tag), tag.data(), tag.size()) != 0)
    return error(ErrorCode::kCorrupt, "it is damaged, or not signed with this user's secret");
  return payload;
}

}  // namespace continuo::engine
