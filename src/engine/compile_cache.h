// Executables on disk, so that a second start compiles nothing. One file an entry, named by the
// SHA-256 of everything the machine code depends on: graph text, executor, plugin and its version,
// device kind, CPU features, compiler options. What is loaded is run, so that folder and files must
// be the user's alone (private_folder.h) and each entry is signed (compile_cache_entry.h).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "engine/private_folder.h"
#include "runtime/executor.h"

namespace continuo::engine {

struct CompileCacheOptions {
  // "" = $CONTINUO_CACHE_DIR, else ${XDG_CACHE_HOME:-~/.cache}/continuo/executables. The first two
  // are named by the user.
  std::string directory;
  // Of all entries together; the longest unused go first.
  uint64_t max_bytes = uint64_t{4} << 30;
};

struct CompileCacheStats {
  int64_t compiled = 0;
  int64_t loaded = 0;          // from disk
  double compile_seconds = 0;  // summed over threads
  double load_seconds = 0;
};

// Any thread; several processes may share a directory. A damaged, foreign or unreadable entry is
// rebuilt; a directory that cannot be used or written to costs one warning, never an error.
class CompileCache {
 public:
  explicit CompileCache(CompileCacheOptions options);

  // An error where the user named a directory that is not safe: other users may write to it, say.
  Status check_named() const;
  // kinds of error: only what Executor::compile returns.
  Result<runtime::ProgramPtr> get_or_compile(runtime::Executor& executor,
                                             const std::string& stablehlo);
  CompileCacheStats stats() const;
  // Where entries go; "" when there is no place for them.
  const std::string& directory() const { return options_.directory; }
  // The file of one graph's entry, whether or not it is there.
  std::string entry_path(const runtime::Executor& executor, const std::string& stablehlo) const;

 private:
  runtime::ProgramPtr load(runtime::Executor& executor, const std::string& key);
  void store(const runtime::Program& program, const std::string& key);
  Status write_entry(const std::string& key, const std::string& payload);
  void evict(const PrivateFolder& folder, const std::string& keep) const;
  Result<std::string> secret();
  void warn(const Error& failure);
  std::shared_ptr<std::mutex> key_mutex(const std::string& key);

  CompileCacheOptions options_;
  bool named_ = false;        // the directory, by the user
  mutable std::mutex mutex_;  // guards what follows
  CompileCacheStats stats_;
  bool warned_ = false;
  std::string secret_;                                           // "" until it is first wanted
  std::map<std::string, std::shared_ptr<std::mutex>> building_;  // by key: build a graph once
};

}  // namespace continuo::engine
