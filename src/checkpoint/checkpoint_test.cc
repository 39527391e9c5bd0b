#include "checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/mapped_file.h"
#include "checkpoint/safetensors_test_files.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing_files::Builder;
using testing_files::Folder;

Error refusal(const std::string& path, const OpenOptions& options = {}) {
  const Result<Checkpoint> opened = open(path, options);
  EXPECT_FALSE(opened.ok());
  return opened.ok() ? Error{} : opened.error();
}

std::string tiny() { return Builder().add<float>("w", "F32", {1}, {1}).bytes(); }

TEST(OpenFolder, ReadsEveryPart) {
  const Folder folder;
  folder.write("config.json", R"({"model_type":"mamba","time_step_limit":[0.0, Infinity]})");
  folder.write("generation_config.json", R"({"eos_token_id":[1,2]})");
  folder.write("tokenizer.json", "{}");
  folder.write("tokenizer_config.json", R"({"chat_template":"old"})");
  folder.write("model.safetensors", tiny());
  Result<Checkpoint> opened = open(folder.path());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened->path, folder.path());
  EXPECT_EQ(opened->format, "safetensors");
  EXPECT_EQ(opened->config["time_step_limit"][1].get<double>(), INFINITY);
  EXPECT_EQ(opened->generation_config["eos_token_id"][1], 2);
  EXPECT_EQ(opened->tokenizer_json, "{}");
  EXPECT_EQ(opened->chat_template, "old");
  EXPECT_EQ(opened->tensors->tensors().size(), 1u);

  folder.write("chat_template.json", R"({"chat_template":"newer"})");
  EXPECT_EQ(open(folder.path())->chat_template, "newer");
  folder.write("chat_template.jinja", "newest");
  EXPECT_EQ(open(folder.path())->chat_template, "newest");
}

TEST(OpenFolder, OptionalPartsMayBeAbsent) {
  const Folder folder;
  folder.write("config.json", "{}");
  Result<Checkpoint> opened = open(folder.path(), {.weights = false});
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_TRUE(opened->generation_config.is_null());
  EXPECT_TRUE(opened->tokenizer_config.is_null());
  EXPECT_EQ(opened->chat_template, "");
  EXPECT_EQ(opened->tensors, nullptr);
}

TEST(OpenFolder, FindsTheVocabularyWhereThereIsNoTokenizerJson) {
  const Folder folder;
  folder.write("config.json", "{}");
  const auto found = [&folder] {
    return open(folder.path(), {.weights = false})->tokenizer_file_name;
  };
  EXPECT_EQ(found(), "");
  folder.write("notes.txt", "x");
  folder.write("vocab.json", "{}");
  EXPECT_EQ(found(), "");  // which is half of it
  folder.write("merges.txt", "m");
  EXPECT_EQ(found(), "vocab.json");
  EXPECT_EQ(open(folder.path(), {.weights = false})->tokenizer_merges, "m");
  folder.write("rwkv_vocab_v20230424.txt", "r");
  EXPECT_EQ(found(), "rwkv_vocab_v20230424.txt");
  folder.write("qwen.tiktoken", "q");
  EXPECT_EQ(found(), "qwen.tiktoken");
  for (const char* name : {"tokenizer.jsonl", "tiktoken.model", "tokenizer.model", "tekken.json"}) {
    folder.write(name, name);
    folder.write("special_tokens_map.json", R"({"eos_token":"e"})");
    folder.write("added_tokens.json", R"({"e":7})");
    const Result<Checkpoint> opened = open(folder.path(), {.weights = false});
    EXPECT_EQ(opened->tokenizer_file_name, name);
    EXPECT_EQ(opened->tokenizer_file, name);
    EXPECT_EQ(opened->special_tokens_map["eos_token"], "e");
    EXPECT_EQ(opened->added_tokens["e"], 7);
  }
  folder.write("tokenizer.json", "{}");
  EXPECT_EQ(found(), "");
}

TEST(OpenFolder, NamedTemplatesUseTheDefault) {
  const Folder folder;
  folder.write("config.json", "{}");
  folder.write("tokenizer_config.json", R"({"chat_template":[3,{"name":"tool_use","template":"t"},)"
                                        R"({"name":"default","template":"d"}]})");
  EXPECT_EQ(open(folder.path(), {.weights = false})->chat_template, "d");
}

TEST(OpenFolder, ConfigFileReplacesTheFolders) {
  const Folder folder;
  folder.write("model.safetensors", tiny());
  const std::string other = folder.write("config.hub.json", R"({"model_type":"llama"})");
  Result<Checkpoint> opened = open(folder.path(), {.config_file = other});
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened->config["model_type"], "llama");
  EXPECT_THAT(refusal(folder.path(), {.config_file = other + "x"}).message,
              HasSubstr("it was given as --config"));
}

TEST(OpenFolder, RefusesBrokenParts) {
  const Folder folder;
  EXPECT_EQ(refusal(folder.path()).code, ErrorCode::kNotFound);
  EXPECT_THAT(refusal(folder.path()).message, HasSubstr("/config.json: no such file"));
  folder.write("config.json", "[]");
  EXPECT_THAT(refusal(folder.path()).message, HasSubstr("wanted a JSON object, got array"));
  folder.write("config.json", "{\"a\" 1}");
  EXPECT_THAT(refusal(folder.path()).message, HasSubstr("config.json: invalid JSON at byte 6"));
  folder.write("config.json", "{}");
  EXPECT_THAT(refusal(folder.path()).message, HasSubstr("wanted model.safetensors"));
  for (const char* part :
       {"generation_config.json", "tokenizer_config.json", "chat_template.json"}) {
    folder.write(part, "{");
    EXPECT_THAT(refusal(folder.path()).message, HasSubstr(std::string(part) + ": invalid JSON"));
    folder.write(part, "{}");
  }
}

TEST(OpenFolder, RefusesOtherQuantisations) {
  const Folder folder;
  folder.write("model.safetensors", tiny());
  folder.write("config.json", R"({"quantization_config":{"quant_method":"gptq","bits":4}})");
  EXPECT_EQ(refusal(folder.path()).code, ErrorCode::kUnsupported);
  EXPECT_THAT(refusal(folder.path()).message, HasSubstr("quant_method \"gptq\""));
  folder.write("config.json", R"({"quantization_config":{"quant_method":"mxfp4"}})");
  EXPECT_TRUE(open(folder.path()).ok());
  folder.write("config.json", R"({"model_type":"some_vision_model","text_config":
      {"quantization_config":{"quant_method":"awq","bits":4}}})");
  EXPECT_THAT(refusal(folder.path()).message, HasSubstr("quant_method \"awq\""));
  folder.write("config.json", R"({"thinker_config":{"llm_config":
      {"quantization_config":{"quant_method":"fp8"}}}})");
  EXPECT_THAT(refusal(folder.path()).message, HasSubstr("quant_method \"fp8\""));
}

TEST(Open, RefusesWhatIsNoModel) {
  const Folder folder;
  EXPECT_EQ(refusal(folder.path() + "/none").code, ErrorCode::kNotFound);
  EXPECT_THAT(refusal(folder.write("a.txt", "hello")).message,
              HasSubstr("wanted a model folder or a .gguf file, got another kind of file"));
  EXPECT_THAT(refusal(folder.write("model.safetensors", tiny())).message,
              HasSubstr("(give the folder it is in)"));
}

// As zlib's crc32, which wrote the expectations.
uint32_t crc32(std::span<const float> values) {
  uint32_t crc = ~0u;
  for (std::byte byte : std::as_bytes(values)) {
    crc ^= std::to_integer<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

struct Case {
  const char* folder;
  const char* format;
};

// Folders with tensors.json: the shape of every tensor a model may ask for, and the CRC-32 of its
// elements in float32 as the reference implementation reads them.
class RealFiles : public ::testing::TestWithParam<Case> {};

TEST_P(RealFiles, EveryTensorEqualsTheReferenceBitForBit) {
  const std::string folder = std::string(CONTINUO_TEST_DATA) + "/" + GetParam().folder;
  Result<Checkpoint> opened = open(folder);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened->format, GetParam().format);
  const json expected = *parse_json(*read_text_file(folder + "/tensors.json"), "tensors.json");
  ASSERT_GT(expected.size(), 10u);
  const TensorSource& source = *opened->tensors;
  for (const auto& [name, wanted] : expected.items()) {
    const TensorInfo* info = source.find(name);
    ASSERT_NE(info, nullptr) << name;
    ASSERT_EQ(info->shape, Shape(wanted["shape"].get<std::vector<int64_t>>())) << name;
    std::vector<float> out(static_cast<size_t>(info->shape.elements()));
    const Status status = source.read_f32(*info, out);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(crc32(out), wanted["crc32"].get<uint32_t>()) << name;
    source.release(*info);
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, RealFiles,
                         ::testing::Values(Case{"goldens/llama", "safetensors"},
                                           Case{"goldens/llama_bf16", "safetensors"},
                                           Case{"goldens/qwen3_f16", "safetensors"},
                                           Case{"goldens/gpt_oss_mxfp4", "safetensors"},
                                           Case{"goldens/mlx_llama_4bit_g32", "mlx"},
                                           Case{"goldens/mlx_llama_8bit_g64", "mlx"},
                                           Case{"goldens/mlx_qwen3_moe_4bit_g32", "mlx"},
                                           Case{"goldens/mlx_mixtral_6bit_g32", "mlx"},
                                           Case{"checkpoint/mlx_affine", "mlx"}));

}  // namespace
}  // namespace continuo::checkpoint
