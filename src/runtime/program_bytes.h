// What Program::serialize() writes: a runtime's own bytes and the signature, which an executable
// does not tell.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtime/signature.h"

namespace continuo::runtime {

struct ProgramBytes {
  Signature signature;
  std::string_view payload;  // into the bytes that were unpacked; never empty
};

// `runtime` names whose payload it is and its version, "PJRT-1".
std::string pack_program(std::string_view runtime, const Signature& signature,
                         std::string_view payload);
// kCorrupt for what pack_program() did not write for the same `runtime`.
Result<ProgramBytes> unpack_program(std::string_view runtime, std::span<const std::byte> bytes);

}  // namespace continuo::runtime
