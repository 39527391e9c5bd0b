#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_test_files.h"

namespace continuo::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_files::Builder;
using testing_files::Folder;

Error refusal(const Folder& folder) {
  const auto set = open_safetensors_folder(folder.path());
  EXPECT_FALSE(set.ok());
  return set.ok() ? Error{} : set.error();
}

std::string one(const std::string& name, float value) {
  return Builder().add<float>(name, "F32", {1}, {value}).bytes();
}

TEST(SafetensorsFolder, ShardsAreOneSortedSet) {
  const Folder folder;
  folder.write("s-1.safetensors",
               Builder().add<float>("c", "F32", {1}, {3}).add<float>("a", "F32", {1}, {1}).bytes());
  folder.write("s-2.safetensors", one("b", 2));
  folder.write("model.safetensors.index.json",
               R"({"metadata":{"total_size":12},"weight_map":{"a":"s-1.safetensors",)"
               R"("b":"s-2.safetensors","c":"s-1.safetensors"}})");
  const auto set = open_safetensors_folder(folder.path());
  ASSERT_TRUE(set.ok()) << set.error().message;
  ASSERT_EQ((*set)->files.size(), 2u);
  ASSERT_EQ((*set)->tensors.size(), 3u);
  const char* names[] = {"a", "b", "c"};
  for (size_t i = 0; i < 3; ++i) {
    const auto& entry = (*set)->tensors[i];
    EXPECT_EQ(entry.tensor->name, names[i]);
    float value = 0;
    std::memcpy(&value, entry.file->file.bytes().data() + entry.tensor->offset, sizeof(value));
    EXPECT_EQ(value, static_cast<float>(i + 1));
  }
}

TEST(SafetensorsFolder, FindsTheOnlyFileWhateverItsName) {
  const Folder folder;
  folder.write("consolidated.safetensors", one("a", 1));
  const auto set = open_safetensors_folder(folder.path());
  ASSERT_TRUE(set.ok()) << set.error().message;
  EXPECT_EQ((*set)->tensors.size(), 1u);
}

TEST(SafetensorsFolder, ModelSafetensorsComesFirst) {
  const Folder folder;
  folder.write("model.safetensors", one("a", 1));
  folder.write("consolidated.safetensors", one("b", 1));
  const auto set = open_safetensors_folder(folder.path());
  ASSERT_TRUE(set.ok()) << set.error().message;
  EXPECT_EQ((*set)->tensors[0].tensor->name, "a");
}

TEST(SafetensorsFolder, RefusesWhatItCannotChoose) {
  const Folder empty;
  EXPECT_THAT(refusal(empty).message, HasSubstr("wanted model.safetensors or"));

  const Folder pickle;
  pickle.write("pytorch_model.bin", "PK");
  EXPECT_EQ(refusal(pickle).code, ErrorCode::kUnsupported);
  EXPECT_THAT(refusal(pickle).message, HasSubstr("only pytorch_model.bin"));

  const Folder gguf;
  gguf.write("tiny.gguf", "GGUF");
  EXPECT_THAT(refusal(gguf).message, HasSubstr("/tiny.gguf give its path"));
}

TEST(SafetensorsFolder, RefusesABrokenIndex) {
  const Folder folder;
  const auto with = [&](const std::string& index) {
    folder.write("model.safetensors.index.json", index);
    return refusal(folder).message;
  };
  EXPECT_THAT(with("{"), HasSubstr("index.json: invalid JSON"));
  for (const char* index : {"[]", "{}", "{\"weight_map\": []}", "{\"weight_map\": {}}"})
    EXPECT_THAT(with(index), HasSubstr("wanted an object \"weight_map\"")) << index;
  EXPECT_THAT(with(R"({"weight_map":{"a":1}})"), HasSubstr("tensor \"a\": wanted the name"));
}

TEST(SafetensorsFolder, ShardNamesStayInTheFolder) {
  const Folder outside;
  outside.write("secret.safetensors", one("a", 1));
  const Folder folder;
  for (const std::string& shard :
       {outside.path() + "/secret.safetensors", std::string("../x"), std::string(".."),
        std::string(), std::string("a\\\\b"), std::string("sub/x"), std::string("x\\u0000y")}) {
    folder.write("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"" + shard + "\"}}");
    EXPECT_THAT(refusal(folder).message, HasSubstr("wanted the name of a file in this folder"))
        << shard;
  }
}

TEST(SafetensorsFolder, NamesTheMissingShard) {
  const Folder folder;
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"s.safetensors"}})");
  EXPECT_EQ(refusal(folder).code, ErrorCode::kNotFound);
  EXPECT_THAT(refusal(folder).message, AllOf(HasSubstr("/s.safetensors is missing")));
  folder.write("s.safetensors", one("a", 1).substr(0, 20));
  EXPECT_THAT(refusal(folder).message, HasSubstr("s.safetensors: the header claims"));
}

// "name=value name=value" of a folder's tensors, or its refusal.
std::string contents(const Folder& folder) {
  const auto set = open_safetensors_folder(folder.path());
  if (!set.ok()) return set.error().message;
  std::string text;
  for (const auto& entry : (*set)->tensors) {
    float value = 0;
    std::memcpy(&value, entry.file->file.bytes().data() + entry.tensor->offset, sizeof(value));
    text += (text.empty() ? "" : " ") + entry.tensor->name + "=" +
            std::to_string(static_cast<int>(value));
  }
  return text;
}

TEST(SafetensorsFolder, ShardsSayWhatIsInThemWhateverTheIndexSays) {
  const Folder folder;
  folder.write("s-1.safetensors", one("a", 1));
  folder.write("s-2.safetensors",
               Builder().add<float>("b", "F32", {1}, {2}).add<float>("c", "F32", {1}, {3}).bytes());
  const auto with = [&](const std::string& weights) {
    folder.write("model.safetensors.index.json", "{\"weight_map\":{" + weights + "}}");
    return contents(folder);
  };
  // A tensor that nobody has, one under the wrong shard, one that the index forgot.
  EXPECT_EQ(with(R"("a":"s-1.safetensors","b":"s-2.safetensors","c":"s-2.safetensors",)"
                 R"("mtp.extra":"s-2.safetensors")"),
            "a=1 b=2 c=3");
  EXPECT_EQ(with(R"("a":"s-2.safetensors","b":"s-1.safetensors","c":"s-2.safetensors")"),
            "a=1 b=2 c=3");
  EXPECT_EQ(with(R"("a":"s-1.safetensors","c":"s-2.safetensors")"), "a=1 b=2 c=3");
}

TEST(SafetensorsFolder, SeveralFilesNeedNoIndex) {
  const Folder folder;
  folder.write("second.safetensors", one("a", 4));
  folder.write("first.safetensors", one("b", 5));
  EXPECT_EQ(contents(folder), "a=4 b=5");
}

TEST(SafetensorsFolder, TheIndexSettlesDuplicates) {
  const Folder folder;
  folder.write("s-1.safetensors", one("a", 6));
  folder.write("s-2.safetensors", one("a", 7));
  EXPECT_THAT(contents(folder),
              AllOf(HasSubstr("tensor \"a\" is in "), HasSubstr("no index tells")));
  for (const char* shard : {"s-1", "s-2"}) {
    folder.write("model.safetensors.index.json", std::string(R"({"weight_map":{"a":")") + shard +
                                                     R"(.safetensors","b":"s-1.safetensors",)" +
                                                     R"("c":"s-2.safetensors"}})");
    EXPECT_EQ(contents(folder), shard == std::string("s-1") ? "a=6" : "a=7");
  }
}

}  // namespace
}  // namespace continuo::checkpoint
