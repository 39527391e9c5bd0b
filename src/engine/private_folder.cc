#include "engine/private_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace continuo::engine {
namespace {

// Closes at the scope's end.
struct Descriptor {
  int value;
  explicit Descriptor(int descriptor) : value(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

ErrorCode code_of(int number) {
  if (number == ENOENT) return ErrorCode::kNotFound;
  if (number == ELOOP) return ErrorCode::kInvalidArgument;
  return number == ENOSPC || number == EDQUOT || number == EFBIG ? ErrorCode::kResourceExhausted
                                                                 : ErrorCode::kUnavailable;
}

std::string reason(int number) {
  return number == ELOOP ? "it is a symbolic link" : std::strerror(number);
}

// Missing parents too.
Status make(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return ok_status();
  const size_t slash = path.rfind('/');
  if (errno != ENOENT || slash == std::string::npos || slash == 0)
    return error(code_of(errno), "{}: {}", path, reason(errno));
  CONTINUO_RETURN_IF_ERROR(make(path.substr(0, slash)));
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return ok_status();
  return error(code_of(errno), "{}: {}", path, reason(errno));
}

// A link is followed if a slash comes after it.
std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

int write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

int read_all(int file, std::string& bytes) {
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::read(file, bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) break;  // shorter than it was
    have += static_cast<size_t>(got);
  }
  bytes.resize(have);
  return 0;
}

}  // namespace

Status check_owner(const std::string& path, const struct stat& status, uid_t user,
                   mode_t forbidden) {
  if (status.st_uid != user)
    return error(ErrorCode::kInvalidArgument, "{}: belongs to user {}, expected user {}", path,
                 status.st_uid, user);
  if ((status.st_mode & forbidden) != 0)
    return error(ErrorCode::kInvalidArgument,
                 "{}: other users may {} it (mode {:o}); chmod go-{} makes it safe", path,
                 (forbidden & 044) != 0 ? "read or write" : "write to", status.st_mode & 07777,
                 (forbidden & 044) != 0 ? "rwx" : "w");
  return ok_status();
}

Result<PrivateFolder> PrivateFolder::open(const std::string& path) {
  const std::string name = without_slashes(path);
  const int folder = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) {
    int number = errno;
    struct stat link {};  // the kernel says of a link only that it is no folder
    if (number == ENOTDIR && ::lstat(name.c_str(), &link) == 0 && S_ISLNK(link.st_mode))
      number = ELOOP;
    return error(code_of(number), "{}: {}", name, reason(number));
  }
  PrivateFolder opened(name, folder);
  struct stat status {};
  if (::fstat(folder, &status) != 0) return opened.failure("", errno);
  CONTINUO_RETURN_IF_ERROR(check_owner(name, status, ::geteuid(), 022));
  return opened;
}

Result<PrivateFolder> PrivateFolder::create(const std::string& path) {
  CONTINUO_RETURN_IF_ERROR(make(without_slashes(path)));
  return open(path);
}

PrivateFolder::PrivateFolder(PrivateFolder&& other) noexcept
    : path_(std::move(other.path_)), folder_(std::exchange(other.folder_, -1)) {}

PrivateFolder::~PrivateFolder() {
  if (folder_ >= 0) ::close(folder_);
}

Error PrivateFolder::failure(const std::string& name, int number) const {
  return error(code_of(number), "{}/{}: {}", path_, name, reason(number));
}

Result<std::string> PrivateFolder::read(const std::string& name, uint64_t limit,
                                        mode_t forbidden) const {
  // O_NONBLOCK: opening a pipe must fail below instead of waiting for its writer.
  const Descriptor file(
      ::openat(folder_, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (file.value < 0) return failure(name, errno);
  struct stat status {};
  if (::fstat(file.value, &status) != 0) return failure(name, errno);
  if (!S_ISREG(status.st_mode))
    return error(ErrorCode::kInvalidArgument, "{}/{}: expected a plain file", path_, name);
  CONTINUO_RETURN_IF_ERROR(check_owner(path_ + "/" + name, status, ::geteuid(), forbidden));
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size > limit)
    return error(ErrorCode::kResourceExhausted, "{}/{}: {} bytes, the limit is {}", path_, name,
                 size, limit);
  std::string bytes(size, '\0');
  if (const int number = read_all(file.value, bytes); number != 0) return failure(name, number);
  return bytes;
}

// Its name. The random part keeps processes apart, also those of other machines.
Result<std::string> PrivateFolder::write_temporary(
    const std::string& name, std::initializer_list<std::string_view> parts) const {
  uint64_t random = 0;
  if (::getrandom(&random, sizeof(random), 0) != ssize_t{sizeof(random)})
    return failure(name, errno);
  std::string temporary = fmt::format("{}.{:016x}{}", name, random, kTemporarySuffix);
  const int file = ::openat(folder_, temporary.c_str(),
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return failure(temporary, errno);
  int number = 0;
  for (const std::string_view part : parts)
    if (number == 0) number = write_all(file, part);
  if (::close(file) != 0 && number == 0) number = errno;
  if (number == 0) return temporary;
  ::unlinkat(folder_, temporary.c_str(), 0);
  return failure(temporary, number);
}

Status PrivateFolder::write(const std::string& name,
                            std::initializer_list<std::string_view> parts) const {
  CONTINUO_TRY(const std::string temporary, write_temporary(name, parts));
  if (::renameat(folder_, temporary.c_str(), folder_, name.c_str()) == 0) return ok_status();
  const int number = errno;
  ::unlinkat(folder_, temporary.c_str(), 0);
  return failure(name, number);
}

Status PrivateFolder::write_first(const std::string& name, std::string_view content) const {
  CONTINUO_TRY(const std::string temporary, write_temporary(name, {content}));
  int number = ::linkat(folder_, temporary.c_str(), folder_, name.c_str(), 0) == 0 ? 0 : errno;
  if (number == EPERM || number == EOPNOTSUPP || number == ENOSYS)  // no hard links here
    number = ::renameat2(folder_, temporary.c_str(), folder_, name.c_str(), RENAME_NOREPLACE) == 0
                 ? 0
                 : errno;
  ::unlinkat(folder_, temporary.c_str(), 0);
  return number == 0 || number == EEXIST ? ok_status() : Status(failure(name, number));
}

void PrivateFolder::touch(const std::string& name) const {
  ::utimensat(folder_, name.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

void PrivateFolder::remove(const std::string& name) const { ::unlinkat(folder_, name.c_str(), 0); }

std::vector<PrivateFolder::File> PrivateFolder::files() const {
  std::vector<File> found;
  const int copy = ::openat(folder_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* listing = copy < 0 ? nullptr : ::fdopendir(copy);
  if (listing == nullptr) {
    if (copy >= 0) ::close(copy);
    return found;
  }
  while (const dirent* each = ::readdir(listing)) {
    struct stat status {};  // another process may have deleted it meanwhile
    if (::fstatat(folder_, each->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(status.st_mode))
      found.push_back({each->d_name, static_cast<uint64_t>(status.st_size), status.st_mtim});
  }
  ::closedir(listing);
  return found;
}

}  // namespace continuo::engine
