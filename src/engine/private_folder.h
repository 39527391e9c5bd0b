// PrivateFolder: a folder that only its user can have written to. What is loaded from it is run as
// machine code, so that everything goes through the descriptor whose owner and mode were checked,
// and no symbolic link is followed.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace continuo::engine {

// Owns a descriptor; movable, not copyable. Any thread; several processes may share the folder.
class PrivateFolder {
 public:
  // kNotFound: there is none. kInvalidArgument: it is not safe: a link, another user's, others may
  // write to it. kUnavailable: the system's reason.
  static Result<PrivateFolder> open(const std::string& path);
  // The same; makes what is missing of `path`, for the user alone.
  static Result<PrivateFolder> create(const std::string& path);
  PrivateFolder(PrivateFolder&& other) noexcept;
  PrivateFolder& operator=(PrivateFolder&&) = delete;
  ~PrivateFolder();

  // The whole file. kNotFound; kInvalidArgument: a link, no plain file, another user's, or its mode
  // has a bit of `forbidden`; kResourceExhausted: longer than `limit`; kUnavailable.
  Result<std::string> read(const std::string& name, uint64_t limit, mode_t forbidden = 022) const;
  // A file of these parts in place of the one before: readers see a whole one, old or new.
  Status write(const std::string& name, std::initializer_list<std::string_view> parts) const;
  // The same where there is none; whoever comes first wins.
  Status write_first(const std::string& name, std::string_view content) const;
  void touch(const std::string& name) const;  // used now
  void remove(const std::string& name) const;

  struct File {
    std::string name;
    uint64_t bytes = 0;
    timespec used{};
  };
  std::vector<File> files() const;

  // Of a file that write() had not finished, where its process was killed.
  static constexpr std::string_view kTemporarySuffix = ".tmp";

 private:
  PrivateFolder(std::string path, int folder) : path_(std::move(path)), folder_(folder) {}
  Error failure(const std::string& name, int number) const;
  Result<std::string> write_temporary(const std::string& name,
                                      std::initializer_list<std::string_view> parts) const;

  std::string path_;
  int folder_;
};

// Whether what `status` says of the file or folder at `path` makes it `user`'s alone:
// kInvalidArgument where it is another's, or its mode has a bit of `forbidden`.
Status check_owner(const std::string& path, const struct stat& status, uid_t user,
                   mode_t forbidden);

}  // namespace continuo::engine
