#include "checkpoint/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/gguf_test_bytes.h"

namespace continuo::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Bytes = GgufBytes;

constexpr uint32_t kU8 = 0, kU32 = 4, kF32 = 6, kBool = 7, kString = 8, kArray = 9, kU64 = 10;

Result<GgufFile> parse(const Bytes& file) { return parse_gguf(file.bytes(), "x.gguf"); }

std::string refusal(const Bytes& file) {
  Result<GgufFile> result = parse(file);
  return result.ok() ? "accepted" : result.error().message;
}

TEST(GgufFile, ReadsMetadataAndTensors) {
  for (uint32_t version : {2u, 3u}) {
    Bytes file(version);
    file.counts(2, 4);
    file.key("general.architecture", kString).string("llama");
    file.key("a.count", kU64).put<uint64_t>(std::numeric_limits<uint64_t>::max());
    file.key("a.scale", kF32).put(0.15f);
    file.key("a.nested", kArray).put<uint32_t>(kArray).put<uint64_t>(2);
    file.put<uint32_t>(kU8).put<uint64_t>(2).put<uint8_t>(7).put<uint8_t>(9);
    file.put<uint32_t>(kBool).put<uint64_t>(1).put<uint8_t>(1);
    file.tensor("w", {4, 3}, 0, 0).tensor("q", {32, 2}, 2, 64).pad().zeros(64 + 36);

    Result<GgufFile> parsed = parse(file);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed->version, version);
    EXPECT_EQ(*parsed->find("general.architecture"), "llama");
    EXPECT_EQ(*parsed->find("a.count"), std::numeric_limits<uint64_t>::max());
    EXPECT_EQ(*parsed->find("a.scale"), double{0.15f});
    EXPECT_EQ(parsed->find("a.nested")->dump(), "[[7,9],[true]]");
    EXPECT_EQ(parsed->find("a.missing"), nullptr);
    ASSERT_EQ(parsed->tensors.size(), 2u);
    EXPECT_EQ(parsed->tensors[0].shape, (Shape{3, 4}));
    EXPECT_EQ(parsed->tensors[0].bytes, 48u);
    EXPECT_EQ(parsed->tensors[1].type, GgmlType::kQ4_0);
    EXPECT_EQ(parsed->tensors[1].bytes, 36u);
    EXPECT_EQ(parsed->tensors[1].offset, parsed->tensors[0].offset + 64);
  }
}

TEST(GgufFile, ReadsNoByteBeyondATruncatedFile) {
  Bytes file;
  file.counts(1, 2)
      .key("k", kArray)
      .put<uint32_t>(kString)
      .put<uint64_t>(2)
      .string("ab")
      .string("");
  file.key("b", kBool).put<uint8_t>(0).tensor("w", {4}, 0, 0).pad().zeros(16);
  ASSERT_TRUE(parse(file).ok());
  for (size_t size = 0; size < file.bytes().size(); ++size) {
    const std::vector<std::byte> cut(file.bytes().begin(),
                                     file.bytes().begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(parse_gguf(cut, "x.gguf").ok()) << size;
  }
}

TEST(GgufFile, RefusesOtherFormats) {
  Bytes old(1), next(4), big;
  EXPECT_THAT(refusal(old), HasSubstr("version 1"));
  EXPECT_THAT(refusal(next), HasSubstr("version 4"));
  Bytes swapped(0x03000000);
  EXPECT_THAT(refusal(swapped), HasSubstr("big-endian"));
  EXPECT_THAT(parse_gguf(std::vector<std::byte>(64), "x.gguf").error().message,
              AllOf(HasSubstr("x.gguf"), HasSubstr("not a GGUF file")));
}

TEST(GgufFile, RefusesCountsBeyondTheFile) {
  const uint64_t huge = std::numeric_limits<uint64_t>::max();
  EXPECT_THAT(refusal(Bytes().counts(huge, 0)), HasSubstr("tensors"));
  EXPECT_THAT(refusal(Bytes().counts(0, huge)), HasSubstr("metadata keys"));
  EXPECT_THAT(refusal(Bytes().counts(0, 1).put(huge).zeros(40)), HasSubstr("claims"));
  EXPECT_THAT(refusal(Bytes().counts(0, 1).key("k", kArray).put<uint32_t>(kU32).put(huge)),
              HasSubstr("claims 18446744073709551615 elements"));
}

TEST(GgufFile, RefusesBadMetadata) {
  EXPECT_THAT(refusal(Bytes().counts(0, 1).key("k", 13).zeros(8)), HasSubstr("unknown type 13"));
  EXPECT_THAT(refusal(Bytes().counts(0, 1).key("k", kBool).put<uint8_t>(2)),
              HasSubstr("not a boolean"));
  Bytes twice;
  twice.counts(0, 2).key("k", kU8).put<uint8_t>(1).key("k", kU8).put<uint8_t>(1);
  EXPECT_THAT(refusal(twice), HasSubstr("'k' appears twice"));
  Bytes deep;
  deep.counts(0, 1).key("k", kArray);
  for (int i = 0; i < 50; ++i) deep.put<uint32_t>(kArray).put<uint64_t>(1);
  deep.zeros(64);
  EXPECT_THAT(refusal(deep), HasSubstr("nests arrays"));
  Bytes alignment;
  alignment.counts(0, 1).key("general.alignment", kU32).put<uint32_t>(48);
  EXPECT_THAT(refusal(alignment), HasSubstr("power of two"));
}

TEST(GgufFile, RefusesBadTensors) {
  const auto one = [](const std::vector<uint64_t>& ne, uint32_t type, uint64_t offset) {
    return Bytes().counts(1, 0).tensor("w", ne, type, offset).pad().zeros(256);
  };
  ASSERT_TRUE(parse(one({8}, 0, 0)).ok());
  EXPECT_THAT(refusal(one({8}, 16, 0)), AllOf(HasSubstr("'w'"), HasSubstr("IQ2_XXS")));
  EXPECT_THAT(refusal(one({8}, 999, 0)), AllOf(HasSubstr("'w'"), HasSubstr("type 999")));
  EXPECT_THAT(refusal(one({}, 0, 0)), HasSubstr("0 dimensions"));
  EXPECT_THAT(refusal(one({1, 1, 1, 1, 1}, 0, 0)), HasSubstr("5 dimensions"));
  EXPECT_THAT(refusal(one({0}, 0, 0)), HasSubstr("dimension 0 is 0"));
  EXPECT_THAT(refusal(one({uint64_t{1} << 62, 8, 8}, 0, 0)), HasSubstr("too much"));
  EXPECT_THAT(refusal(one({33}, 2, 0)), HasSubstr("block of 32"));
  EXPECT_THAT(refusal(one({8}, 0, 7)), HasSubstr("alignment"));
  EXPECT_THAT(refusal(one({8}, 0, 256)), HasSubstr("truncated"));
  EXPECT_THAT(refusal(one({8}, 0, ~uint64_t{31})), HasSubstr("truncated"));
}

TEST(GgufFile, RefusesTensorsThatShareBytesOrNames) {
  Bytes overlap, same;
  overlap.counts(2, 0).tensor("a", {16}, 0, 0).tensor("b", {16}, 0, 32).pad().zeros(128);
  EXPECT_THAT(refusal(overlap), HasSubstr("'a' and 'b' overlap"));
  same.counts(2, 0).tensor("a", {8}, 0, 0).tensor("a", {8}, 0, 32).pad().zeros(128);
  EXPECT_THAT(refusal(same), HasSubstr("'a' appears twice"));
}

}  // namespace
}  // namespace continuo::checkpoint
