#include "checkpoint/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/half.h"
#include "checkpoint/gguf_test_bytes.h"
#include "checkpoint/safetensors_test_files.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_files::Folder;

constexpr uint32_t kU32 = 4, kF32Value = 6, kString = 8, kF32 = 0, kF16 = 1, kQ8_0 = 8;
constexpr uint64_t kVocabulary = 4, kHidden = 32;

std::string text(const GgufBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.bytes().data()), bytes.bytes().size()};
}

struct Tensor {
  std::string name;
  std::vector<uint64_t> ne;
  uint32_t type;
  std::vector<std::byte> data;
};

template <typename T>
std::vector<std::byte> as_bytes(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}
Tensor floats(const std::string& name, const std::vector<uint64_t>& ne, std::vector<float> values) {
  return {name, ne, kF32, as_bytes(values)};
}
Tensor zeros(const std::string& name, const std::vector<uint64_t>& ne) {
  uint64_t elements = 1;
  for (uint64_t size : ne) elements *= size;
  return floats(name, ne, std::vector<float>(elements));
}

// A llama of one layer with 2 heads of 16: the keys, then `tensors`.
class TinyLlama {
 public:
  TinyLlama& integer(const std::string& key, uint32_t value) {
    keys_.key(key, kU32).put(value);
    return count();
  }
  TinyLlama& number(const std::string& key, float value) {
    keys_.key(key, kF32Value).put(value);
    return count();
  }
  TinyLlama& string(const std::string& key, const std::string& value) {
    keys_.key(key, kString).string(value);
    return count();
  }
  TinyLlama& sizes() {
    string("general.architecture", "llama").integer("llama.block_count", 1);
    integer("llama.embedding_length", kHidden).integer("llama.context_length", 128);
    return integer("llama.attention.head_count", 2);
  }
  TinyLlama& add(Tensor tensor) {
    tensors_.push_back(std::move(tensor));
    return *this;
  }
  TinyLlama& embedding() { return add(zeros("token_embd.weight", {kHidden, kVocabulary})); }

  std::string bytes() const {
    GgufBytes file;
    file.counts(tensors_.size(), keys_count_);
    // The header of keys_ is no part of the file.
    constexpr size_t kHeader = 8;
    for (size_t i = kHeader; i < keys_.bytes().size(); ++i) file.put(keys_.bytes()[i]);
    uint64_t offset = 0;
    for (const Tensor& tensor : tensors_) {
      file.tensor(tensor.name, tensor.ne, tensor.type, offset);
      offset += (tensor.data.size() + 31) / 32 * 32;
    }
    for (const Tensor& tensor : tensors_) {
      file.pad();
      for (std::byte byte : tensor.data) file.put(byte);
    }
    return text(file.pad());
  }

 private:
  TinyLlama& count() {
    ++keys_count_;
    return *this;
  }
  GgufBytes keys_;
  uint64_t keys_count_ = 0;
  std::vector<Tensor> tensors_;
};

Result<Checkpoint> open_bytes(const Folder& folder, const TinyLlama& model) {
  return open_gguf(folder.write("m.gguf", model.bytes()));
}

std::string refusal(const TinyLlama& model) {
  const Folder folder;
  const Result<Checkpoint> opened = open_bytes(folder, model);
  return opened.ok() ? "accepted" : opened.error().message;
}

TEST(OpenGguf, GivesTokenizerTemplateAndConfiguration) {
  const Folder folder;
  TinyLlama model;
  model.sizes().embedding().string("tokenizer.ggml.model", "gpt2");
  model.string("tokenizer.chat_template", "{{ messages }}")
      .integer("tokenizer.ggml.bos_token_id", 3);
  Result<Checkpoint> opened = open_bytes(folder, model);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened->format, "gguf");
  EXPECT_EQ(opened->chat_template, "{{ messages }}");
  EXPECT_EQ(opened->gguf_tokenizer["tokenizer.ggml.model"], "gpt2");
  EXPECT_FALSE(opened->gguf_tokenizer.contains("general.architecture"));
  EXPECT_EQ(opened->config["bos_token_id"], 3);
  EXPECT_EQ(opened->config["tie_word_embeddings"], true);
  EXPECT_EQ(opened->config["vocab_size"], kVocabulary);
  EXPECT_TRUE(opened->generation_config.is_null());

  const std::string config = folder.write("other.json", R"({"model_type":"mine","eps":NaN})");
  opened = open_gguf(folder.path() + "/m.gguf", {.config_file = config, .weights = false});
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened->config["model_type"], "mine");
  EXPECT_EQ(opened->tensors, nullptr);
}

TEST(OpenGguf, ShowsPlainTensorsWhereTheyLie) {
  const Folder folder;
  TinyLlama model;
  std::vector<uint16_t> halves(kVocabulary * kHidden, f32_to_f16(1.5f));
  model.sizes().add({"token_embd.weight", {kHidden, kVocabulary}, kF16, as_bytes(halves)});
  model.add(zeros("blk.0.attn_q.weight", {kHidden, 32}));
  Result<Checkpoint> opened = open_bytes(folder, model);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const TensorSource& source = *opened->tensors;
  const TensorInfo* embedding = source.find("model.embed_tokens.weight");
  ASSERT_NE(embedding, nullptr);
  const std::optional<HostView> plain = source.plain(*embedding);
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->dtype, DType::kF16);
  EXPECT_EQ(std::memcmp(plain->data, halves.data(), plain->bytes()), 0);
  EXPECT_FALSE(source.quantized(*embedding).has_value());
  source.release(*embedding);
  std::vector<float> values(halves.size());
  ASSERT_TRUE(source.read_f32(*embedding, values).ok());
  EXPECT_EQ(values.back(), 1.5f);
  EXPECT_FALSE(source.read_f32(*embedding, std::span(values).first(3)).ok());
  // Permuted rows are not in place.
  EXPECT_FALSE(source.plain(*source.find("model.layers.0.self_attn.q_proj.weight")).has_value());
}

TEST(OpenGguf, ShowsTheOrderOfQuantisedRows) {
  const Folder folder;
  TinyLlama model;
  std::vector<std::byte> blocks;
  for (int row = 0; row < 32; ++row) {
    const std::vector<std::byte> scale = as_bytes<uint16_t>({f32_to_f16(1)});
    const std::vector<std::byte> quants =
        as_bytes(std::vector<int8_t>(32, static_cast<int8_t>(row)));
    blocks.insert(blocks.end(), scale.begin(), scale.end());
    blocks.insert(blocks.end(), quants.begin(), quants.end());
  }
  model.sizes().embedding().add({"blk.0.attn_q.weight", {kHidden, 32}, kQ8_0, blocks});
  Result<Checkpoint> opened = open_bytes(folder, model);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const TensorInfo& query = *opened->tensors->find("model.layers.0.self_attn.q_proj.weight");
  EXPECT_EQ(query.encoding, Encoding::kQ8_0);
  std::vector<float> values(32 * kHidden);
  ASSERT_TRUE(opened->tensors->read_f32(query, values).ok());
  const std::optional<QuantizedTensor> planes = opened->tensors->quantized(query);
  ASSERT_TRUE(planes.has_value());
  EXPECT_EQ(planes->blocks.shape, (Shape{32, 34}));
  const RowOrder order = planes->rows;
  ASSERT_EQ(order.a, 8);
  ASSERT_EQ(order.b, 2);
  ASSERT_EQ(order.rows, 1);
  for (int64_t head = 0; head < 2; ++head) {
    for (int64_t i = 0; i < order.a; ++i) {
      for (int64_t j = 0; j < order.b; ++j) {
        const int64_t stored = head * 16 + i * order.b + j, logical = head * 16 + j * order.a + i;
        EXPECT_EQ(values[static_cast<size_t>(logical) * kHidden], static_cast<float>(stored));
      }
    }
  }
}

TEST(OpenGguf, JoinsSplitFiles) {
  const Folder folder;
  TinyLlama first, second;
  first.sizes().embedding().integer("split.count", 2).integer("split.no", 0);
  second.integer("split.count", 2).integer("split.no", 1);
  second.add(floats("output_norm.weight", {kHidden}, std::vector<float>(kHidden, 2.0f)));
  const std::string path = folder.write("m-00001-of-00002.gguf", first.bytes());
  EXPECT_THAT(open_gguf(path).error().message, HasSubstr("m-00002-of-00002.gguf"));
  const std::string other = folder.write("m-00002-of-00002.gguf", second.bytes());
  for (const std::string& part : {path, other}) {
    Result<Checkpoint> opened = open_gguf(part);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    const TensorInfo* norm = opened->tensors->find("model.norm.weight");
    ASSERT_NE(norm, nullptr);
    std::vector<float> values(kHidden);
    ASSERT_TRUE(opened->tensors->read_f32(*norm, values).ok());
    EXPECT_EQ(values[5], 2.0f);
    EXPECT_THAT(opened->tensors->location(*norm),
                AllOf(HasSubstr("m-00002-of-00002.gguf"), HasSubstr("output_norm.weight")));
  }
  const std::string renamed = folder.write("alone.gguf", first.bytes());
  EXPECT_THAT(open_gguf(renamed).error().message, HasSubstr("split into 2 files"));
  folder.write("m-00002-of-00002.gguf", first.bytes());
  EXPECT_THAT(open_gguf(path).error().message, HasSubstr("is in two parts"));
}

TEST(OpenGguf, NamesWhatIsWrong) {
  EXPECT_THAT(refusal(TinyLlama().embedding()), HasSubstr("general.architecture"));
  EXPECT_THAT(
      refusal(TinyLlama().string("general.architecture", "t5").integer("t5.block_count", 1)),
      HasSubstr("'t5' is not supported"));
  EXPECT_THAT(refusal(TinyLlama().sizes()), HasSubstr("token_embd.weight"));
  EXPECT_THAT(refusal(TinyLlama().string("general.architecture", "llama").embedding()),
              HasSubstr("llama.block_count"));
  EXPECT_THAT(refusal(TinyLlama().sizes().embedding().add(zeros("blk.0.strange.weight", {4}))),
              HasSubstr("blk.0.strange.weight"));
  EXPECT_THAT(refusal(TinyLlama().sizes().embedding().add(zeros("blk.0.attn_q.weight", {32, 6}))),
              AllOf(HasSubstr("6 rows"), HasSubstr("2 heads")));
  EXPECT_THAT(refusal(TinyLlama().sizes().embedding().string("llama.rope.freq_base", "x")),
              HasSubstr("'llama.rope.freq_base' is not a number"));
  EXPECT_THAT(open_gguf("/nowhere/m.gguf").error().message, HasSubstr("/nowhere/m.gguf"));
}

// The factors that llama.cpp's converter computes (conversion/llama.py, generate_extra_tensors).
std::vector<float> llama3_factors(double theta, double factor, double low, double high,
                                  double original, size_t count) {
  std::vector<float> factors;
  for (size_t i = 0; i < count; ++i) {
    const double exponent = static_cast<double>(i) / static_cast<double>(count);
    const double wavelength = 2 * std::numbers::pi * std::pow(theta, exponent);
    const double smooth = (original / wavelength - low) / (high - low);
    const double middle = 1 / ((1 - smooth) / factor + smooth);
    factors.push_back(static_cast<float>(wavelength < original / high  ? 1
                                         : wavelength > original / low ? factor
                                                                       : middle));
  }
  return factors;
}

json rope_of(std::vector<float> factors) {
  const Folder folder;
  TinyLlama model;
  model.sizes().embedding().number("llama.rope.freq_base", 500000.0f);
  model.integer("llama.attention.key_length", static_cast<uint32_t>(2 * factors.size()));
  const uint64_t count = factors.size();
  model.add(floats("rope_freqs.weight", {count}, std::move(factors)));
  Result<Checkpoint> opened = open_bytes(folder, model);
  EXPECT_TRUE(opened.ok()) << opened.error().message;
  return opened.ok() ? opened->config["rope_parameters"] : json();
}

TEST(OpenGguf, RecoversLlama3Scaling) {
  for (const double factor : {8.0, 32.0}) {
    const json rope = rope_of(llama3_factors(500000, factor, 1, 4, 8192, 64));
    EXPECT_EQ(rope["rope_type"], "llama3");
    EXPECT_EQ(rope["factor"], factor);
    EXPECT_EQ(rope["low_freq_factor"], 1.0);
    EXPECT_EQ(rope["high_freq_factor"], 4.0);
    EXPECT_EQ(rope["original_max_position_embeddings"], 8192);
  }
}

TEST(OpenGguf, KeepsOtherFrequencyFactorsAsTheyAre) {
  const std::vector<float> factors = llama3_factors(500000, 8, 1, 3, 8192, 64);
  const json rope = rope_of(factors);
  EXPECT_EQ(rope["rope_type"], "longrope");
  EXPECT_EQ(rope["attention_factor"], 1.0);
  ASSERT_EQ(rope["long_factor"].size(), factors.size());
  for (size_t i = 0; i < factors.size(); ++i) {
    EXPECT_EQ(rope["short_factor"][i].get<float>(), factors[i]);
  }
  EXPECT_EQ(rope_of({1.0f, NAN, 3.0f, 4.0f})["rope_type"], "longrope");
}

TEST(ShortestDecimal, ReadsBackAsTheSameFloat) {
  EXPECT_EQ(shortest_decimal(1e-6f), 1e-6);
  EXPECT_EQ(shortest_decimal(1e11f), 1e11);
  EXPECT_EQ(shortest_decimal(0.15f), 0.15);
  EXPECT_EQ(shortest_decimal(INFINITY), INFINITY);
}

}  // namespace
}  // namespace continuo::checkpoint
