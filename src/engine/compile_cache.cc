#include "engine/compile_cache.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

namespace continuo::engine {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr size_t kDigestBytes = 32;
constexpr std::string_view kSuffix = ".executable";
constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr auto kAbandonedAfter = std::chrono::hours(1);

// An entry is this header and the payload, nothing after it. Little endian, as written.
struct Header {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t header_bytes;
  std::array<unsigned char, kDigestBytes> key;
  uint64_t payload_bytes;
  std::array<unsigned char, kDigestBytes> payload_digest;
};
static_assert(sizeof(Header) == 88, "no padding: the header is written as it lies");
constexpr std::array<char, 8> kMagic = {'C', 'O', 'N', 'T', 'E', 'X', 'E', 'C'};
constexpr uint32_t kVersion = 1;

std::array<unsigned char, kDigestBytes> sha256(std::string_view data) {
  std::array<unsigned char, kDigestBytes> digest{};
  unsigned int size = 0;
  if (EVP_Digest(data.data(), data.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    throw std::bad_alloc();  // its only way to fail
  return digest;
}

// The digest of a text's bytes as raw characters; the key of a graph on an executor.
std::string key_of(const runtime::Executor& executor, const std::string& stablehlo) {
  const runtime::DeviceInfo& info = executor.info();
  std::string all;
  for (const std::string& field :
       {std::to_string(kVersion), info.executor, info.version, info.platform, info.device_kind,
        std::to_string(info.devices), info.cpu_features, executor.options_key(), stablehlo})
    all += fmt::format("{}:{}", field.size(), field);
  const auto digest = sha256(all);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string default_directory() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (std::string named = variable("CONTINUO_CACHE_DIR"); !named.empty()) return named;
  std::string base = variable("XDG_CACHE_HOME");
  if (base.empty() && !variable("HOME").empty()) base = variable("HOME") + "/.cache";
  return base.empty() ? "" : base + "/continuo/executables";
}

// The whole file, or nothing if it is not there, not readable or larger than `limit`.
std::string read_file(const std::string& path, uint64_t limit) {
  std::error_code failure;
  const uint64_t size = fs::file_size(path, failure);
  if (failure || size > limit) return "";
  std::ifstream file(path, std::ios::binary);
  std::string bytes(size, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(size));
  return file.gcount() == static_cast<std::streamsize>(size) ? bytes : "";
}

// The payload of `entry` if every field of its header holds; else an empty view.
std::string_view checked_payload(std::string_view entry, const std::string& key) {
  Header header;
  if (entry.size() < sizeof(header)) return {};
  std::memcpy(&header, entry.data(), sizeof(header));
  const std::string_view payload = entry.substr(sizeof(header));
  const bool good = header.magic == kMagic && header.version == kVersion &&
                    header.header_bytes == sizeof(header) &&
                    std::memcmp(header.key.data(), key.data(), kDigestBytes) == 0 &&
                    header.payload_bytes == payload.size() &&
                    header.payload_digest == sha256(payload);
  return good ? payload : std::string_view{};
}

Status write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return error(ErrorCode::kResourceExhausted, "{}", std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

CompileCache::CompileCache(CompileCacheOptions options) : options_(std::move(options)) {
  if (options_.directory.empty()) options_.directory = default_directory();
}

std::string CompileCache::path_of(const std::string& key) const {
  std::string name;
  for (const char c : key) name += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return (fs::path(options_.directory) / name).string() + std::string(kSuffix);
}

std::string CompileCache::entry_path(const runtime::Executor& executor,
                                     const std::string& stablehlo) const {
  return path_of(key_of(executor, stablehlo));
}

CompileCacheStats CompileCache::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

std::shared_ptr<std::mutex> CompileCache::key_mutex(const std::string& key) {
  const std::lock_guard lock(mutex_);
  auto& slot = building_[key];
  if (slot == nullptr) slot = std::make_shared<std::mutex>();
  return slot;
}

Result<runtime::ProgramPtr> CompileCache::get_or_compile(runtime::Executor& executor,
                                                         const std::string& stablehlo) {
  const std::string key = key_of(executor, stablehlo);
  const std::shared_ptr<std::mutex> building = key_mutex(key);
  const std::lock_guard once(*building);
  auto start = Clock::now();
  if (runtime::ProgramPtr program = load(executor, key)) {
    const std::lock_guard lock(mutex_);
    ++stats_.loaded;
    stats_.load_seconds += seconds_since(start);
    return program;
  }
  start = Clock::now();
  CONTINUO_TRY(runtime::ProgramPtr program, executor.compile(stablehlo));
  {
    const std::lock_guard lock(mutex_);
    ++stats_.compiled;
    stats_.compile_seconds += seconds_since(start);
  }
  store(*program, key);
  return program;
}

// nullptr when there is no good entry.
runtime::ProgramPtr CompileCache::load(runtime::Executor& executor, const std::string& key) {
  if (options_.directory.empty()) return nullptr;
  const std::string path = path_of(key);
  const std::string entry = read_file(path, options_.max_bytes);
  if (entry.empty()) return nullptr;
  const std::string_view payload = checked_payload(entry, key);
  if (payload.empty()) {
    spdlog::info("{}: damaged or foreign, compiled again", path);
    return nullptr;
  }
  auto program = executor.deserialize(std::as_bytes(std::span(payload)));
  if (!program.ok()) {
    spdlog::info("{}: {}, compiled again", path, program.error().message);
    return nullptr;
  }
  utimensat(AT_FDCWD, path.c_str(), nullptr, 0);  // used now: evicted last
  return std::move(program).value();
}

void CompileCache::store(const runtime::Program& program, const std::string& key) {
  Status status = error(ErrorCode::kNotFound, "neither CONTINUO_CACHE_DIR nor HOME is set");
  if (!options_.directory.empty()) {
    const auto payload = program.serialize();
    status = payload.ok() ? write_entry(key, *payload) : Status(payload.error());
  }
  if (status.ok()) return evict(path_of(key));
  const std::lock_guard lock(mutex_);
  if (!warned_)
    spdlog::warn("compiled programs are not kept: {}: {}", options_.directory,
                 status.error().message);
  warned_ = true;
}

// Into a temporary file first: readers and other writers see a whole entry or none.
Status CompileCache::write_entry(const std::string& key, const std::string& payload) const {
  static std::atomic<uint64_t> counter{0};
  if (sizeof(Header) + payload.size() > options_.max_bytes)
    return error(ErrorCode::kResourceExhausted, "an executable of {} bytes, the limit is {}",
                 payload.size(), options_.max_bytes);
  std::error_code failure;
  fs::create_directories(options_.directory, failure);
  if (failure) return error(ErrorCode::kUnavailable, "{}", failure.message());
  const std::string path = path_of(key);
  const std::string temporary =
      fmt::format("{}.{}.{}{}", path, getpid(), counter.fetch_add(1), kTemporarySuffix);
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return error(ErrorCode::kUnavailable, "{}", std::strerror(errno));

  Header header{kMagic, kVersion, sizeof(Header), {}, payload.size(), sha256(payload)};
  std::memcpy(header.key.data(), key.data(), kDigestBytes);
  Status status = write_all(file, {reinterpret_cast<const char*>(&header), sizeof(header)});
  if (status.ok()) status = write_all(file, payload);
  if (::close(file) != 0 && status.ok())
    status = error(ErrorCode::kResourceExhausted, "{}", std::strerror(errno));
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0)
    status = error(ErrorCode::kUnavailable, "{}", std::strerror(errno));
  if (!status.ok()) ::unlink(temporary.c_str());
  return status;
}

// Deletes the longest unused entries until the rest fits, and what a killed writer left behind.
void CompileCache::evict(const std::string& keep) const {
  struct Entry {
    fs::path path;
    fs::file_time_type used;
    uint64_t bytes;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code failure;
  for (fs::directory_iterator it(options_.directory, failure), end; !failure && it != end;
       it.increment(failure)) {
    const std::string name = it->path().string();
    std::error_code gone;  // another process may delete it meanwhile
    const fs::file_time_type used = fs::last_write_time(it->path(), gone);
    const uint64_t bytes = gone ? 0 : fs::file_size(it->path(), gone);
    if (gone) continue;
    if (name.ends_with(std::string(kSuffix))) {
      entries.push_back({it->path(), used, bytes});
      total += bytes;
    } else if (name.ends_with(kTemporarySuffix) && name.find(kSuffix) != name.npos &&
               fs::file_time_type::clock::now() - used > kAbandonedAfter) {
      fs::remove(it->path(), gone);
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used < b.used; });
  for (const Entry& entry : entries) {
    if (total <= options_.max_bytes) return;
    if (entry.path == keep) continue;
    fs::remove(entry.path, failure);
    total -= entry.bytes;
  }
}

}  // namespace continuo::engine
