// IREE's compiler, a library loaded at run time through its C embedding API.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace continuo::runtime::iree {

// The loaded library. One a process, never unloaded: its global state allows no second start.
class Compiler {
 public:
  // Loads the library at the first call; later calls must name the same file.
  static Result<const Compiler*> load(const std::string& path);

  const std::string& path() const { return path_; }
  // The release it was built from.
  const std::string& revision() const { return revision_; }

  // StableHLO text to the bytes of an IREE module. An error carries the compiler's diagnostics. May
  // be called from several threads at once.
  Result<std::string> compile(const std::string& stablehlo,
                              const std::vector<std::string>& flags) const;

 private:
  struct Api;
  Compiler(std::string path, const Api* api, std::string revision)
      : path_(std::move(path)), api_(api), revision_(std::move(revision)) {}
  static Result<const Compiler*> open(const std::string& path);

  std::string path_;
  const Api* api_;
  std::string revision_;
};

}  // namespace continuo::runtime::iree
