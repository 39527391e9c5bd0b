#include "engine/compile_cache.h"

#include <openssl/evp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <vector>

#include "engine/compile_cache_entry.h"

namespace continuo::engine {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kSuffix = ".executable";
constexpr time_t kAbandonedAfter = 3600;  // seconds

std::array<unsigned char, kEntryKeyBytes> sha256(std::string_view data) {
  std::array<unsigned char, kEntryKeyBytes> digest{};
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
       {std::to_string(kEntryVersion), info.executor, info.version, info.platform, info.device_kind,
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

std::string name_of(const std::string& key) {
  std::string name;
  for (const char c : key) name += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return name + std::string(kSuffix);
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

CompileCache::CompileCache(CompileCacheOptions options) : options_(std::move(options)) {
  const char* variable = std::getenv("CONTINUO_CACHE_DIR");
  named_ = !options_.directory.empty() || (variable != nullptr && *variable != '\0');
  if (options_.directory.empty()) options_.directory = default_directory();
}

Status CompileCache::check_named() const {
  if (!named_) return ok_status();
  const auto folder = PrivateFolder::open(options_.directory);
  if (folder.ok() || folder.error().code != ErrorCode::kInvalidArgument) return ok_status();
  return with_context(folder.error(), "the compile cache runs what it finds in its folder");
}

std::string CompileCache::entry_path(const runtime::Executor& executor,
                                     const std::string& stablehlo) const {
  return fs::path(options_.directory) / name_of(key_of(executor, stablehlo));
}

// Read once; until then a place for it may still appear.
Result<std::string> CompileCache::secret() {
  const std::lock_guard lock(mutex_);
  if (secret_.empty()) {
    CONTINUO_TRY(secret_, cache_secret());
  }
  return secret_;
}

void CompileCache::warn(const Error& failure) {
  const std::lock_guard lock(mutex_);
  if (!warned_) spdlog::warn("compiled programs are not kept: {}", failure.message);
  warned_ = true;
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
  const auto folder = PrivateFolder::open(options_.directory);
  const auto secret = folder.ok() ? this->secret() : Result<std::string>(folder.error());
  if (!secret.ok()) {
    if (secret.error().code != ErrorCode::kNotFound) warn(secret.error());
    return nullptr;
  }
  const std::string name = name_of(key);
  const auto again = [&](const Error& failure) -> runtime::ProgramPtr {
    spdlog::info("{}/{}: {}, compiled again", options_.directory, name, failure.message);
    return nullptr;
  };
  const auto entry = folder->read(name, options_.max_bytes);
  if (!entry.ok())
    return entry.error().code == ErrorCode::kNotFound ? nullptr : again(entry.error());
  const auto payload = entry_payload(*entry, key, *secret);
  if (!payload.ok()) return again(payload.error());
  auto program = executor.deserialize(std::as_bytes(std::span(*payload)));
  if (!program.ok()) return again(program.error());
  folder->touch(name);  // used now: evicted last
  return std::move(program).value();
}

void CompileCache::store(const runtime::Program& program, const std::string& key) {
  if (options_.directory.empty())
    return warn({ErrorCode::kNotFound, "neither CONTINUO_CACHE_DIR nor HOME is set"});
  const auto payload = program.serialize();
  const Status status = payload.ok() ? write_entry(key, *payload) : Status(payload.error());
  if (!status.ok()) warn(status.error());
}

Status CompileCache::write_entry(const std::string& key, const std::string& payload) {
  CONTINUO_TRY(const std::string secret, this->secret());
  const std::string header = entry_header(key, payload, secret);
  if (header.size() + payload.size() > options_.max_bytes)
    return error(ErrorCode::kResourceExhausted, "{}: an executable of {} bytes, the limit is {}",
                 options_.directory, payload.size(), options_.max_bytes);
  CONTINUO_TRY(const PrivateFolder folder, PrivateFolder::create(options_.directory));
  CONTINUO_RETURN_IF_ERROR(folder.write(name_of(key), {header, payload}));
  evict(folder, name_of(key));
  return ok_status();
}

// Deletes the longest unused entries until the rest fits, and what a killed writer left behind.
void CompileCache::evict(const PrivateFolder& folder, const std::string& keep) const {
  std::vector<PrivateFolder::File> entries;
  uint64_t total = 0;
  for (PrivateFolder::File& file : folder.files()) {
    if (file.name.ends_with(kSuffix)) {
      total += file.bytes;
      entries.push_back(std::move(file));
    } else if (file.name.ends_with(PrivateFolder::kTemporarySuffix) &&
               file.name.find(kSuffix) != std::string::npos &&
               std::time(nullptr) - file.used.tv_sec > kAbandonedAfter) {
      folder.remove(file.name);
    }
  }
  const auto age = [](const PrivateFolder::File& file) {
    return std::pair(file.used.tv_sec, file.used.tv_nsec);
  };
  std::sort(entries.begin(), entries.end(),
            [&](const auto& a, const auto& b) { return age(a) < age(b); });
  for (const PrivateFolder::File& entry : entries) {
    if (total <= options_.max_bytes) return;
    if (entry.name == keep) continue;
    folder.remove(entry.name);
    total -= entry.bytes;
  }
}

}  // namespace continuo::engine
