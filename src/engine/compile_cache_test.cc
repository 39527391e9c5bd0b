#include "engine/compile_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

#include "engine/compile_cache_entry.h"

namespace continuo::engine {
namespace {

namespace fs = std::filesystem;
using runtime::Buffer;
using runtime::BufferPtr;
using runtime::Executor;
using runtime::ProgramPtr;

// "Compiles" a text to itself and counts; deserialize refuses what serialize did not write.
class TextProgram final : public runtime::Program {
 public:
  explicit TextProgram(std::string text) : text_(std::move(text)) {}
  size_t arguments() const override { return 0; }
  size_t outputs() const override { return 0; }
  Result<std::vector<BufferPtr>> run(std::span<Buffer* const>) override {
    return std::vector<BufferPtr>{};
  }
  Result<std::string> serialize() const override { return "text:" + text_; }

 private:
  std::string text_;
};

class TextExecutor final : public Executor {
 public:
  const runtime::DeviceInfo& info() const override { return info_; }
  std::string options_key() const override { return options_; }
  Result<ProgramPtr> compile(const std::string& text) override {
    if (text == "bad") return error(ErrorCode::kInvalidArgument, "bad text");
    return ProgramPtr(std::make_unique<TextProgram>(text));
  }
  Result<ProgramPtr> deserialize(std::span<const std::byte> bytes) override {
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (refuse_ || !text.starts_with("text:")) return error(ErrorCode::kCorrupt, "refused");
    return ProgramPtr(std::make_unique<TextProgram>(text.substr(5)));
  }
  Result<BufferPtr> upload(const HostView&, runtime::HostLifetime, runtime::Placement) override {
    return error(ErrorCode::kUnsupported, "no arrays here");
  }
  Result<BufferPtr> zeros(DType, const Shape&, runtime::Placement) override {
    return error(ErrorCode::kUnsupported, "no arrays here");
  }
  graph::Target target() const override { return {}; }

  runtime::DeviceInfo info_{.executor = "text", .platform = "paper", .version = "1"};
  std::string options_ = "none";
  bool refuse_ = false;
};

class CompileCacheTest : public testing::Test {
 protected:
  CompileCacheTest() {
    fs::remove_all(folder_);
    setenv("XDG_STATE_HOME", (folder_ + ".state").c_str(), 1);
  }
  ~CompileCacheTest() override {
    unsetenv("XDG_STATE_HOME");
    fs::remove_all(fs::path(folder_).parent_path());
  }

  CompileCache cache(uint64_t max_bytes = 1 << 20) const {
    return CompileCache({folder_, max_bytes});
  }
  // What a fresh cache object, as a second start has it, does for `text`.
  std::string second_start(const std::string& text = "graph") {
    CompileCache fresh = cache();
    const auto program = fresh.get_or_compile(executor_, text);
    if (!program.ok()) return program.error().message;
    EXPECT_EQ(*(*program)->serialize(), "text:" + text);
    return fresh.stats().compiled == 1 ? "compiled" : fresh.stats().loaded == 1 ? "loaded" : "?";
  }
  std::string entry() const { return cache().entry_path(executor_, "graph"); }
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::string secret_path() const { return folder_ + ".state/continuo/compile-cache.key"; }
  static mode_t mode(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  size_t files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  std::string folder_ =
      fs::path(testing::TempDir()) / fmt::format("compile_cache.{}", getpid()) / "deeper";
  TextExecutor executor_;
};

TEST_F(CompileCacheTest, SecondStartCompilesNothing) {
  CompileCache first = cache();
  ASSERT_TRUE(first.get_or_compile(executor_, "graph").ok());
  ASSERT_TRUE(first.get_or_compile(executor_, "graph").ok());
  EXPECT_EQ(first.stats().compiled, 1);
  EXPECT_EQ(first.stats().loaded, 1);
  EXPECT_EQ(second_start(), "loaded");
  EXPECT_EQ(files(), 1u);
}

TEST_F(CompileCacheTest, CompileErrorsPassThrough) { EXPECT_EQ(second_start("bad"), "bad text"); }

TEST_F(CompileCacheTest, EverythingTheCodeDependsOnIsInTheKey) {
  EXPECT_EQ(second_start(), "compiled");
  const TextExecutor before = executor_;
  for (const auto& change : std::vector<std::function<void()>>{
           [&] { executor_.info_.executor = "other"; }, [&] { executor_.info_.version = "2"; },
           [&] { executor_.info_.platform = "stone"; },
           [&] { executor_.info_.device_kind = "quill"; },
           [&] { executor_.info_.cpu_features = "avx1024"; }, [&] { executor_.info_.devices = 2; },
           [&] { executor_.options_ = "threads=1"; }}) {
    executor_ = before;
    change();
    EXPECT_EQ(second_start(), "compiled");
    EXPECT_EQ(second_start(), "loaded");
  }
  executor_ = before;
  EXPECT_EQ(second_start("graph2"), "compiled");
  executor_.info_.version = "11";  // fields are apart: "1" + "1..." is another key
  EXPECT_EQ(second_start(), "compiled");
  executor_ = before;
  EXPECT_EQ(second_start(), "loaded");
}

// Flips every byte in turn: all of the header, and the payload.
TEST_F(CompileCacheTest, ADamagedByteAnywhereMeansRebuild) {
  EXPECT_EQ(second_start(), "compiled");
  const std::string good = read(entry());
  ASSERT_GT(good.size(), 88u);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string damaged = good;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    write(entry(), damaged);
    EXPECT_EQ(second_start(), "compiled") << "byte " << i;
    EXPECT_EQ(read(entry()), good) << "byte " << i;
  }
}

TEST_F(CompileCacheTest, TruncatedOrLengthenedMeansRebuild) {
  EXPECT_EQ(second_start(), "compiled");
  const std::string good = read(entry());
  for (size_t size = 0; size < good.size(); ++size) {
    write(entry(), good.substr(0, size));
    EXPECT_EQ(second_start(), "compiled") << size;
  }
  write(entry(), good + "x");
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(second_start(), "loaded");
}

TEST_F(CompileCacheTest, AnEntryUnderAForeignNameMeansRebuild) {
  EXPECT_EQ(second_start("other graph"), "compiled");
  fs::copy_file(cache().entry_path(executor_, "other graph"), entry());
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(second_start(), "loaded");
}

TEST_F(CompileCacheTest, AnEntryTheExecutorRefusesMeansRebuild) {
  EXPECT_EQ(second_start(), "compiled");
  executor_.refuse_ = true;
  EXPECT_EQ(second_start(), "compiled");
}

TEST_F(CompileCacheTest, OldestUnusedGoesFirst) {
  constexpr uint64_t kRoomForTwo = 1100;
  CompileCache small = cache(kRoomForTwo);
  const std::string a(400, 'a'), b(400, 'b'), c(400, 'c');
  const auto age = [&](const std::string& text, int minutes) {
    fs::last_write_time(small.entry_path(executor_, text),
                        fs::file_time_type::clock::now() - std::chrono::minutes(minutes));
  };
  ASSERT_TRUE(small.get_or_compile(executor_, a).ok());
  ASSERT_TRUE(small.get_or_compile(executor_, b).ok());
  age(a, 20);
  age(b, 10);
  ASSERT_TRUE(small.get_or_compile(executor_, a).ok()) << "used: now b is the oldest";
  ASSERT_TRUE(small.get_or_compile(executor_, c).ok());
  EXPECT_TRUE(fs::exists(small.entry_path(executor_, a)));
  EXPECT_FALSE(fs::exists(small.entry_path(executor_, b)));
  EXPECT_TRUE(fs::exists(small.entry_path(executor_, c)));
}

TEST_F(CompileCacheTest, TooLargeAnEntryIsNotKeptAndPushesNothingOut) {
  CompileCache small = cache(300);
  ASSERT_TRUE(small.get_or_compile(executor_, "graph").ok());
  ASSERT_TRUE(small.get_or_compile(executor_, std::string(400, 'a')).ok());
  EXPECT_TRUE(fs::exists(entry()));
  EXPECT_EQ(files(), 1u);
}

TEST_F(CompileCacheTest, ClearsWhatAKilledWriterLeftButNothingElse) {
  fs::create_directories(folder_);
  const std::string abandoned = entry() + ".123.0.tmp";
  const std::string recent = entry() + ".123.1.tmp";
  const std::string notes = folder_ + "/notes.txt";
  for (const std::string& path : {abandoned, recent, notes}) write(path, "half");
  for (const std::string& path : {abandoned, notes})
    fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(2));
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_FALSE(fs::exists(abandoned));
  EXPECT_TRUE(fs::exists(recent));
  EXPECT_TRUE(fs::exists(notes));
}

TEST_F(CompileCacheTest, WorksWithoutAPlaceToWriteTo) {
  fs::create_directories(fs::path(folder_).parent_path());
  write(folder_, "a file where the folder should be");
  EXPECT_TRUE(cache().check_named().ok()) << "no use, but no danger";
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(second_start(), "compiled");
}

TEST_F(CompileCacheTest, AnEntryThatIsNoPlainFileMeansRebuild) {
  fs::create_directories(folder_);
  fs::create_symlink("/dev/full", entry());
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(second_start(), "loaded") << "renamed over the link";
}

// A limit on file sizes fails a write half way, as a full disk does.
TEST_F(CompileCacheTest, WorksOnAFullDiskAndLeavesNothingThere) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{120, 120};
    setrlimit(RLIMIT_FSIZE, &limit);
    CompileCache full = cache();
    const bool good = full.get_or_compile(executor_, std::string(500, 'x')).ok();
    _exit(good && files() == 0 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(CompileCacheTest, ChoosesItsDirectory) {
  const auto set = [](const char* name, const char* value) { setenv(name, value, 1); };
  const std::string home = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
  unsetenv("XDG_CACHE_HOME");
  set("HOME", "/home/anna");
  EXPECT_EQ(CompileCache({}).directory(), "/home/anna/.cache/continuo/executables");
  set("XDG_CACHE_HOME", "/caches");
  EXPECT_EQ(CompileCache({}).directory(), "/caches/continuo/executables");
  set("CONTINUO_CACHE_DIR", "/named");
  EXPECT_EQ(CompileCache({}).directory(), "/named");
  EXPECT_EQ(CompileCache({.directory = "/option"}).directory(), "/option");
  unsetenv("CONTINUO_CACHE_DIR");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  CompileCache nowhere({});
  EXPECT_EQ(nowhere.directory(), "");
  EXPECT_TRUE(nowhere.get_or_compile(executor_, "graph").ok());
  if (!home.empty()) set("HOME", home.c_str());
}

TEST_F(CompileCacheTest, ThreadsBuildAGraphOnce) {
  CompileCache shared = cache();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      EXPECT_TRUE(shared.get_or_compile(executor_, i % 2 == 0 ? "even" : "odd").ok());
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared.stats().compiled, 2);
  EXPECT_EQ(shared.stats().loaded, 6);
}

TEST_F(CompileCacheTest, ProcessesMayWriteTheSameEntries) {
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      bool good = true;
      for (int round = 0; round < 50; ++round) {
        CompileCache mine = cache(3000);  // small: entries are evicted under the others' hands
        const std::string text = std::string(500, 'x') + std::to_string(round % 10);
        const auto program = mine.get_or_compile(executor_, text);
        good = good && program.ok() && *(*program)->serialize() == "text:" + text;
      }
      _exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  for (const auto& file : fs::directory_iterator(folder_))
    EXPECT_EQ(file.path().extension(), ".executable") << file.path();
}

// --- what other users may do ---

TEST_F(CompileCacheTest, FoldersAndFilesAreTheUsersAlone) {
  const mode_t before = umask(0);
  EXPECT_EQ(second_start(), "compiled");
  umask(before);
  EXPECT_EQ(mode(folder_), 0700u);
  EXPECT_EQ(mode(fs::path(folder_).parent_path()), 0700u);
  EXPECT_EQ(mode(entry()), 0600u);
  EXPECT_EQ(mode(secret_path()), 0600u);
  EXPECT_EQ(mode(fs::path(secret_path()).parent_path()), 0700u);
  EXPECT_EQ(read(secret_path()).size(), kEntrySecretBytes);
}

TEST_F(CompileCacheTest, AFolderThatOthersMayWriteToIsNotUsed) {
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(second_start(), "loaded");
  for (const mode_t shared : {0720u, 0702u, 0777u, 01777u}) {
    ASSERT_EQ(chmod(folder_.c_str(), shared), 0);
    EXPECT_EQ(second_start(), "compiled") << shared;
    const Status named = cache().check_named();
    ASSERT_FALSE(named.ok());
    EXPECT_THAT(named.error().message, testing::HasSubstr("other users may write to it"));
  }
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  EXPECT_EQ(second_start(), "loaded");
  EXPECT_TRUE(cache().check_named().ok());
}

TEST_F(CompileCacheTest, ALinkToAFolderIsNotUsed) {
  EXPECT_EQ(second_start(), "compiled");
  fs::rename(folder_, folder_ + ".elsewhere");
  fs::create_symlink(folder_ + ".elsewhere", folder_);
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_THAT(cache().check_named().error().message, testing::HasSubstr("symbolic link"));
  EXPECT_THAT(CompileCache({folder_ + "/"}).check_named().error().message,
              testing::HasSubstr("symbolic link"));
}

TEST_F(CompileCacheTest, AnEntryThatOthersMayWriteToOrALinkMeansRebuild) {
  EXPECT_EQ(second_start(), "compiled");
  ASSERT_EQ(chmod(entry().c_str(), 0622), 0);
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(mode(entry()), 0600u);
  EXPECT_EQ(second_start(), "loaded");
  fs::rename(entry(), entry() + ".moved");
  fs::create_symlink(entry() + ".moved", entry());
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(second_start(), "loaded");
}

TEST_F(CompileCacheTest, AnEntrySignedWithAnotherSecretMeansRebuild) {
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(second_start(), "loaded");
  write(secret_path(), std::string(kEntrySecretBytes, 's'));
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(second_start(), "loaded");
  write(secret_path(), "cut");  // as a crash leaves it
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(read(secret_path()).size(), kEntrySecretBytes);
  EXPECT_EQ(second_start(), "loaded");
}

TEST_F(CompileCacheTest, WithoutASecretOfItsOwnNothingIsKept) {
  EXPECT_EQ(second_start(), "compiled");
  ASSERT_EQ(chmod(secret_path().c_str(), 0640), 0);
  EXPECT_EQ(second_start(), "compiled");
  EXPECT_EQ(second_start(), "compiled");
  ASSERT_EQ(chmod(secret_path().c_str(), 0600), 0);
  EXPECT_EQ(second_start(), "loaded");
}

TEST_F(CompileCacheTest, ProcessesThatStartTogetherAgreeOnTheSecret) {
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto mine = cache_secret();
      _exit(mine.ok() && *mine == read(secret_path()) ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

// The same on a real plugin: what is loaded computes what was compiled.
TEST_F(CompileCacheTest, KeepsAnXlaExecutable) {
  auto executor = runtime::open_executor({.plugin = CONTINUO_CPU_PLUGIN});
  ASSERT_TRUE(executor.ok()) << executor.error().message;
  const std::string text = R"(module { func.func public @main(%x: tensor<3xf32>) -> tensor<3xf32> {
    %0 = stablehlo.exponential %x : tensor<3xf32>
    return %0 : tensor<3xf32> } })";
  for (const int64_t loaded : {0, 1}) {
    CompileCache each = cache();
    auto program = each.get_or_compile(**executor, text);
    ASSERT_TRUE(program.ok()) << program.error().message;
    EXPECT_EQ(each.stats().loaded, loaded);
    EXPECT_EQ(each.stats().compiled, 1 - loaded);
    auto x = (*executor)->zeros(DType::kF32, {3});
    ASSERT_TRUE(x.ok());
    Buffer* arguments[] = {x->get()};
    auto y = (*program)->run(arguments);
    ASSERT_TRUE(y.ok()) << y.error().message;
    EXPECT_EQ((*y)[0]->download()->as<float>()[2], 1.0f);
  }
}

}  // namespace
}  // namespace continuo::engine
