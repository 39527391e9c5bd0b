#include "checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/safetensors_test_files.h"

namespace continuo::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_files::as_bytes;
using testing_files::Builder;
using testing_files::container;

std::string refusal(const std::string& file) {
  const Result<SafetensorsHeader> header = parse_safetensors(as_bytes(file), "m.safetensors");
  EXPECT_FALSE(header.ok());
  if (header.ok()) return "";
  EXPECT_EQ(header.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(header.error().message, HasSubstr("m.safetensors: "));
  return header.error().message;
}

// One tensor "w", described by `entry`, over `data` bytes.
std::string refusal_of(const std::string& entry, size_t data) {
  return refusal(container("{\"w\":" + entry + "}", std::string(data, 'x')));
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  const std::string file =
      container(R"({"__metadata__":{"format":"pt","x":"y"},)"
                R"("b":{"dtype":"F16","shape":[3],"data_offsets":[8,14]},)"
                R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
                R"("none":{"dtype":"I64","shape":[5,0],"data_offsets":[14,14]},)"
                R"("scalar":{"dtype":"BOOL","shape":[],"data_offsets":[14,15]}}  )",
                std::string(15, 'x'));
  const Result<SafetensorsHeader> header = parse_safetensors(as_bytes(file), "m.safetensors");
  ASSERT_TRUE(header.ok()) << header.error().message;
  EXPECT_EQ(header->format, "pt");
  ASSERT_EQ(header->tensors.size(), 4u);
  const SafetensorsTensor& half = header->tensors[1];
  EXPECT_EQ(half.name, "b");
  EXPECT_EQ(half.dtype, DType::kF16);
  EXPECT_EQ(half.shape, Shape({3}));
  EXPECT_EQ(half.offset, file.size() - 15 + 8);
  EXPECT_EQ(half.bytes, 6u);
  EXPECT_EQ(header->tensors[0].name, "a");
  EXPECT_EQ(header->tensors[3].name, "scalar");
}

TEST(Safetensors, TypesWithoutADTypeAreKept) {
  const std::string file =
      Builder().add<uint8_t>("w", "F8_E4M3", {2, 3}, {1, 2, 3, 4, 5, 6}).bytes();
  const Result<SafetensorsHeader> header = parse_safetensors(as_bytes(file), "m.safetensors");
  ASSERT_TRUE(header.ok()) << header.error().message;
  EXPECT_EQ(header->tensors[0].dtype, std::nullopt);
  EXPECT_EQ(header->tensors[0].dtype_name, "F8_E4M3");
}

TEST(Safetensors, RefusesABrokenFrame) {
  EXPECT_THAT(refusal("1234567"), HasSubstr("header of at least 8 bytes, got a file of 7"));
  EXPECT_THAT(refusal(std::string("\x09\0\0\0\0\0\0\0{}", 10)),
              HasSubstr("claims 9 bytes, but only 2 follow"));
  EXPECT_THAT(refusal(std::string(16, '\xff')), HasSubstr("at most 100000000 bytes"));
  EXPECT_THAT(refusal(container("", "")), HasSubstr("begins with '{'"));
  EXPECT_THAT(refusal(container("[]", "")), HasSubstr("begins with '{'"));
  EXPECT_THAT(refusal(container("{\"a\"", "")), HasSubstr("header: invalid JSON at byte"));
  EXPECT_THAT(refusal(container("{\"\xff\": 1}", "")), HasSubstr("invalid JSON"));
  EXPECT_THAT(refusal(container("{}", "xyz")), HasSubstr("3 bytes of data follow"));
}

TEST(Safetensors, RefusesDuplicateAndStrangeNames) {
  const std::string entry = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(refusal(container("{\"w\":" + entry + ",\"w\":" + entry + "}", "x")),
              HasSubstr("the key \"w\" is given twice"));
  EXPECT_THAT(refusal(container("{\"\":" + entry + "}", "x")), HasSubstr("names of 1 to 1024"));
  EXPECT_THAT(refusal(container("{\"" + std::string(1025, 'n') + "\":" + entry + "}", "x")),
              HasSubstr("got 1025"));
}

TEST(Safetensors, RefusesMalformedEntries) {
  EXPECT_THAT(refusal_of("[1]", 0), HasSubstr("tensor \"w\": wanted an object, got [1]"));
  EXPECT_THAT(refusal_of(R"({"shape":[1],"data_offsets":[0,1]})", 1),
              HasSubstr("wanted a string \"dtype\", got none"));
  EXPECT_THAT(refusal_of(R"({"dtype":"Q4","shape":[1],"data_offsets":[0,1]})", 1),
              HasSubstr("unknown dtype \"Q4\""));
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","data_offsets":[0,1]})", 1),
              HasSubstr("wanted an array \"shape\", got none"));
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","shape":7,"data_offsets":[0,1]})", 1),
              HasSubstr("wanted an array \"shape\", got 7"));
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","shape":[[1]],"data_offsets":[0,1]})", 1),
              HasSubstr("whole numbers >= 0"));
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","shape":[[[[1]]]],"data_offsets":[0,1]})", 1),
              HasSubstr("nested deeper"));
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","shape":[1]})", 1), HasSubstr("wanted \"data_offsets\""));
  for (const char* offsets : {"[0]", "[0,1,2]", "[-1,1]", "[0,1.0]", "\"0,1\"", "{}"})
    EXPECT_THAT(
        refusal_of(fmt::format(R"({{"dtype":"U8","shape":[1],"data_offsets":{}}})", offsets), 1),
        HasSubstr("wanted \"data_offsets\": [begin, end], got "));
}

TEST(Safetensors, RefusesLyingShapes) {
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","shape":[-1],"data_offsets":[0,1]})", 1),
              HasSubstr("whole numbers >= 0, got shape [-1]"));
  EXPECT_THAT(
      refusal_of(R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,20]})", 20),
      HasSubstr("tensor \"w\": F32 [2,3] takes 24 bytes, but data_offsets [0, 20] hold 20"));
  EXPECT_THAT(refusal_of(R"({"dtype":"F4","shape":[3],"data_offsets":[0,1]})", 1),
              HasSubstr("F4 [3]"));
  for (const char* shape :
       {"[18446744073709551615]", "[4294967296,4294967296]", "[9223372036854775807,2]",
        "[0,4294967296,4294967296]", "[72057594037927937]"})
    EXPECT_THAT(
        refusal_of(fmt::format(R"({{"dtype":"U8","shape":{},"data_offsets":[0,0]}})", shape), 0),
        HasSubstr("number of elements overflows"))
        << shape;
  EXPECT_THAT(
      refusal_of(R"({"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,0]})", 0),
      HasSubstr("whole numbers"));
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]})", 1),
              HasSubstr("at most 8 dimensions, got 9"));
}

TEST(Safetensors, RefusesLyingOffsets) {
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]})", 3),
              HasSubstr("bytes [0, 4) reach past the 3 bytes of data"));
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","shape":[1],"data_offsets":[2,1]})", 3),
              HasSubstr("data_offsets in order, got [2, 1]"));
  EXPECT_THAT(
      refusal_of(R"({"dtype":"U8","shape":[1],"data_offsets":[18446744073709551615,0]})", 3),
      HasSubstr("in order"));
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","shape":[2],"data_offsets":[1,3]})", 3),
              HasSubstr("tensor \"w\": its bytes begin at 1, leaving a hole from 0"));
  EXPECT_THAT(refusal_of(R"({"dtype":"U8","shape":[2],"data_offsets":[0,2]})", 3),
              HasSubstr("1 bytes of data follow the last tensor's end at 2"));
  EXPECT_THAT(refusal(container(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
                                R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                                "wxyz")),
              HasSubstr("tensor \"b\": its bytes from 2 overlap those before it, up to 3"));
}

TEST(Safetensors, RefusesStrangeMetadata) {
  EXPECT_THAT(refusal(container(R"({"__metadata__":[]})", "")),
              HasSubstr("__metadata__ to be an object"));
  EXPECT_THAT(refusal(container(R"({"__metadata__":{"format":1}})", "")),
              HasSubstr("strings in __metadata__, got 1"));
}

TEST(Safetensors, TruncationAnywhereIsAnError) {
  const std::string file = Builder()
                               .add<float>("a", "F32", {2, 2}, {1, 2, 3, 4})
                               .add<uint16_t>("b", "BF16", {3}, {1, 2, 3})
                               .bytes();
  ASSERT_TRUE(parse_safetensors(as_bytes(file), "m").ok());
  for (size_t length = 0; length < file.size(); ++length)
    EXPECT_FALSE(parse_safetensors(as_bytes(file).first(length), "m").ok()) << length;
}

}  // namespace
}  // namespace continuo::checkpoint
