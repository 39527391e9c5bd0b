#include "runtime/program_bytes.h"

#include <cstring>

namespace continuo::runtime {
namespace {

std::string magic(std::string_view runtime) { return fmt::format("CONTINUO-{}\n", runtime); }

}  // namespace

// The magic line, the signature's length and text, the payload.
std::string pack_program(std::string_view runtime, const Signature& signature,
                         std::string_view payload) {
  const uint64_t length = signature.text.size();
  std::string bytes = magic(runtime);
  bytes.reserve(bytes.size() + sizeof(length) + length + payload.size());
  bytes.append(reinterpret_cast<const char*>(&length), sizeof(length));
  bytes += signature.text;
  bytes += payload;
  return bytes;
}

Result<ProgramBytes> unpack_program(std::string_view runtime, std::span<const std::byte> bytes) {
  const std::string start = magic(runtime);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  uint64_t length = 0;
  if (!rest.starts_with(start) || rest.size() < start.size() + sizeof(length))
    return error(ErrorCode::kCorrupt, "not a serialized {} program", runtime);
  rest.remove_prefix(start.size());
  std::memcpy(&length, rest.data(), sizeof(length));
  rest.remove_prefix(sizeof(length));
  if (length >= rest.size())
    return error(ErrorCode::kCorrupt, "serialized {} program is cut short", runtime);
  CONTINUO_TRY(Signature signature, parse_signature(std::string(rest.substr(0, length))));
  return ProgramBytes{std::move(signature), rest.substr(length)};
}

}  // namespace continuo::runtime
