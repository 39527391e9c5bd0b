#include "base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace continuo {
namespace {

using ::testing::HasSubstr;

class MappedFileTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) {
    const std::string path = testing::TempDir() + "mapped_file_" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  static char at(const MappedFile& file, size_t index) {
    return static_cast<char>(file.bytes()[index]);
  }
};

TEST_F(MappedFileTest, HoldsTheBytes) {
  const std::string path = write("bytes", "continuo");
  Result<MappedFile> file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->path(), path);
  ASSERT_EQ(file->size(), 8u);
  EXPECT_EQ(at(*file, 0), 'c');
  EXPECT_EQ(at(*file, 7), 'o');
}

TEST_F(MappedFileTest, MovingKeepsTheMapping) {
  MappedFile first = *MappedFile::open(write("first", "one"));
  MappedFile second = std::move(first);
  EXPECT_EQ(first.size(), 0u);
  EXPECT_EQ(at(second, 2), 'e');
  second = *MappedFile::open(write("second", "two"));
  EXPECT_EQ(at(second, 0), 't');
}

TEST_F(MappedFileTest, ReleasedPagesReadTheSame) {
  std::string content(5 * 4096 + 77, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 % 251);
  const MappedFile file = *MappedFile::open(write("released", content));
  file.release(5000, 9000);
  file.release(20000, size_t(-1));  // clamped, no overflow
  file.release(content.size() + 1, 10);
  for (size_t i = 0; i < content.size(); ++i) ASSERT_EQ(at(file, i), content[i]) << i;
}

TEST_F(MappedFileTest, EmptyFileIsAnEmptySpan) {
  const Result<MappedFile> file = MappedFile::open(write("empty", ""));
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->bytes().empty());
  file->release(0, 1);
}

TEST_F(MappedFileTest, RefusesWhatIsNotAFile) {
  const Result<MappedFile> missing = MappedFile::open("/nowhere/model.safetensors");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("/nowhere/model.safetensors: cannot open"));

  const Result<MappedFile> folder = MappedFile::open(testing::TempDir());
  ASSERT_FALSE(folder.ok());
  EXPECT_THAT(folder.error().message, HasSubstr("wanted a regular file, got a folder"));

  const std::string pipe = testing::TempDir() + "mapped_file_pipe";
  std::filesystem::remove(pipe);
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const Result<MappedFile> fifo = MappedFile::open(pipe);
  ASSERT_FALSE(fifo.ok());
  EXPECT_EQ(fifo.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(MappedFileTest, TextFilesAreBounded) {
  const std::string path = write("text", "{\"a\": 1}");
  EXPECT_EQ(*read_text_file(path), "{\"a\": 1}");
  const Result<std::string> refused = read_text_file(path, 7);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("wanted at most 7 bytes, got 8"));
}

}  // namespace
}  // namespace continuo
