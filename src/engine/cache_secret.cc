// The secret that the compile cache's files are signed with: 32 random bytes in a file of the
// user's own, outside the cache folder.
#include <openssl/rand.h>

#include <cstdlib>

#include "engine/compile_cache_entry.h"
#include "engine/private_folder.h"

namespace continuo::engine {
namespace {

constexpr const char* kFile = "compile-cache.key";
constexpr mode_t kOthers = 077;  // whoever can read it can sign

std::string state_folder() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  std::string base = variable("XDG_STATE_HOME");
  if (base.empty() && !variable("HOME").empty()) base = variable("HOME") + "/.local/state";
  return base.empty() ? "" : base + "/continuo";
}

std::string random_secret() {
  std::string secret(kEntrySecretBytes, '\0');
  const bool done = RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()),
                               static_cast<int>(secret.size())) == 1;
  return done ? secret : "";
}

}  // namespace

Result<std::string> cache_secret() {
  const std::string path = state_folder();
  if (path.empty()) return error(ErrorCode::kNotFound, "neither XDG_STATE_HOME nor HOME is set");
  CONTINUO_TRY(const PrivateFolder folder, PrivateFolder::create(path));
  for (const bool replace : {false, true}) {
    auto have = folder.read(kFile, kEntrySecretBytes, kOthers);
    if (have.ok() && have->size() == kEntrySecretBytes) return have;
    if (!have.ok() && have.error().code != ErrorCode::kNotFound &&
        have.error().code != ErrorCode::kResourceExhausted)  // longer than a secret
      return have;
    const std::string fresh = random_secret();
    if (fresh.empty()) return error(ErrorCode::kUnavailable, "there is no randomness");
    // Several processes may start at once: all take what the first one wrote. A file of another
    // size is what a full disk or a crash left.
    const bool missing = !have.ok() && have.error().code == ErrorCode::kNotFound;
    if (missing && !replace)
      CONTINUO_RETURN_IF_ERROR(folder.write_first(kFile, fresh));
    else
      CONTINUO_RETURN_IF_ERROR(folder.write(kFile, {fresh}));
  }
  CONTINUO_TRY(std::string secret, folder.read(kFile, kEntrySecretBytes, kOthers));
  if (secret.size() == kEntrySecretBytes) return secret;
  return error(ErrorCode::kUnavailable, "{}/{}: expected {} bytes, got {}", path, kFile,
               kEntrySecretBytes, secret.size());
}

}  // namespace continuo::engine
