#include "checkpoint/safetensors_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "checkpoint/json.h"
#include "checkpoint/safetensors_test_files.h"

namespace continuo::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_files::Builder;
using testing_files::Folder;
using Source = std::unique_ptr<TensorSource>;

const char* const kMlx = R"({"quantization": {"group_size": 32, "bits": 4}})";

Result<Source> open_source(const Folder& folder, const std::string& config = "{}") {
  CONTINUO_TRY(auto set, open_safetensors_folder(folder.path()));
  CONTINUO_TRY(const nlohmann::json parsed, parse_json(config, "config.json"));
  return make_safetensors_source(std::move(set), parsed);
}

std::vector<float> values(const TensorSource& source, const std::string& name) {
  const TensorInfo* info = source.find(name);
  if (info == nullptr) return {};
  std::vector<float> out(static_cast<size_t>(info->shape.elements()));
  const Status status = source.read_f32(*info, out);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return out;
}

std::string refusal(const Folder& folder, const std::string& config = "{}") {
  const Result<Source> source = open_source(folder, config);
  EXPECT_FALSE(source.ok());
  return source.ok() ? "" : source.error().message;
}

TEST(SafetensorsSource, PlainTensorsAtAnyAlignment) {
  for (size_t padding = 0; padding < 8; ++padding) {
    const Folder folder;
    folder.write("model.safetensors", Builder()
                                          .add<uint8_t>("a", "U8", {3}, {7, 8, 9})
                                          .add<float>("b", "F32", {2, 1}, {1.5f, -2})
                                          .add<uint16_t>("c", "F16", {2}, {0x3c00, 0xc000})
                                          .add<uint16_t>("d", "BF16", {1}, {0x3fc0})
                                          .add<double>("e", "F64", {}, {0.25})
                                          .bytes(padding));
    const Source source = std::move(*open_source(folder));
    EXPECT_THAT(values(*source, "a"), ElementsAre(7, 8, 9));
    EXPECT_THAT(values(*source, "b"), ElementsAre(1.5f, -2));
    EXPECT_THAT(values(*source, "c"), ElementsAre(1, -2));
    EXPECT_THAT(values(*source, "d"), ElementsAre(1.5f));
    EXPECT_THAT(values(*source, "e"), ElementsAre(0.25f));
    const std::optional<HostView> view = source->plain(*source->find("c"));
    ASSERT_TRUE(view.has_value());
    EXPECT_EQ(view->dtype, DType::kF16);
    EXPECT_EQ(view->shape, Shape({2}));
    EXPECT_EQ(std::to_integer<int>(view->data[1]), 0x3c);
    EXPECT_FALSE(source->quantized(*source->find("c")).has_value());
  }
}

TEST(SafetensorsSource, DescriptionsAreSortedAndFound) {
  const Folder folder;
  const std::string file = folder.write(
      "model.safetensors",
      Builder().add<float>("z", "F32", {1}, {1}).add<int64_t>("a", "I64", {1}, {5}).bytes());
  const Source source = std::move(*open_source(folder));
  ASSERT_EQ(source->tensors().size(), 2u);
  EXPECT_EQ(source->tensors()[0].name, "a");
  EXPECT_EQ(source->tensors()[0].dtype, DType::kI64);
  EXPECT_EQ(source->find("b"), nullptr);
  const TensorInfo copy = *source->find("z");
  EXPECT_EQ(source->location(copy), file);
  std::vector<float> one(1);
  EXPECT_TRUE(source->read_f32(copy, one).ok());
}

TEST(SafetensorsSource, ReadingRefusesWrongRequests) {
  const Folder folder;
  folder.write("model.safetensors", Builder()
                                        .add<float>("w", "F32", {2}, {1, 2})
                                        .add<uint8_t>("x", "F8_E4M3", {2}, {1, 2})
                                        .bytes());
  const Source source = std::move(*open_source(folder));
  std::vector<float> out(3);
  EXPECT_THAT(source->read_f32(*source->find("w"), out).error().message,
              HasSubstr("tensor \"w\" [2] has 2 elements, asked for 3"));
  const TensorInfo stranger{"y", {3}};
  EXPECT_EQ(source->read_f32(stranger, out).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(source->plain(stranger).has_value());
  out.resize(2);
  const Status eight = source->read_f32(*source->find("x"), out);
  EXPECT_EQ(eight.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(eight.error().message,
              AllOf(HasSubstr("model.safetensors: tensor \"x\" is stored as F8_E4M3")));
  EXPECT_FALSE(source->plain(*source->find("x")).has_value());
}

// 32 columns of 4 bits: 0, 1, ... 15, 0, 1, ...
const std::vector<uint32_t> kWords{0x76543210, 0xfedcba98, 0x76543210, 0xfedcba98};

TEST(SafetensorsSource, AffinePlanesAreOneTensor) {
  const Folder folder;
  folder.write("model.safetensors", Builder()
                                        .add("l.weight", "U32", {1, 4}, kWords)
                                        .add<float>("l.scales", "F32", {1, 1}, {0.5f})
                                        .add<float>("l.biases", "F32", {1, 1}, {-1})
                                        .add<float>("other.scales", "F32", {1}, {3})
                                        .bytes());
  const Source source = std::move(*open_source(folder, kMlx));
  ASSERT_EQ(source->tensors().size(), 2u);  // other.scales has no weight: a tensor like any
  const TensorInfo& info = *source->find("l.weight");
  EXPECT_EQ(info.encoding, Encoding::kAffine);
  EXPECT_EQ(info.shape, Shape({1, 32}));
  const std::vector<float> out = values(*source, "l.weight");
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(out[i], 0.5f * static_cast<float>(i % 16) - 1);
  EXPECT_FALSE(source->plain(info).has_value());
  const std::optional<QuantizedTensor> planes = source->quantized(info);
  ASSERT_TRUE(planes.has_value());
  EXPECT_EQ(planes->bits, 4);
  EXPECT_EQ(planes->group_size, 32);
  EXPECT_EQ(planes->blocks.shape, Shape({1, 4}));
  EXPECT_EQ(planes->scales.dtype, DType::kF32);
  EXPECT_EQ(planes->biases.shape, Shape({1, 1}));
  source->release(info);
  EXPECT_EQ(values(*source, "l.weight"), out);
}

TEST(SafetensorsSource, RefusesAffinePlanesThatDisagree) {
  const auto with = [](const Builder& builder, const std::string& config = kMlx) {
    const Folder folder;
    folder.write("model.safetensors", builder.bytes());
    return refusal(folder, config);
  };
  const std::vector<float> one{1};
  const auto weight = [] { return Builder().add("l.weight", "U32", {1, 4}, kWords); };
  EXPECT_THAT(with(weight().add("l.scales", "F32", {1, 1}, one)),
              HasSubstr("tensor \"l.weight\": wanted l.biases beside its scales"));
  EXPECT_THAT(
      with(weight()
               .add("l.scales", "F32", {1, 1}, one)
               .add<float>("l.biases", "F32", {1, 2}, {1, 2})),
      HasSubstr("tensor \"l.biases\": wanted biases like the scales, F32 [1,1], got F32 [1,2]"));
  EXPECT_THAT(with(weight()
                       .add<uint8_t>("l.scales", "U8", {1, 1}, {1})
                       .add<uint8_t>("l.biases", "U8", {1, 1}, {1})),
              HasSubstr("tensor \"l.scales\": wanted F32, F16 or BF16 scales, got U8"));
  const auto whole = [&] {
    return weight().add("l.scales", "F32", {1, 1}, one).add("l.biases", "F32", {1, 1}, one);
  };
  EXPECT_THAT(with(whole(), R"({"quantization": {"group_size": 64, "bits": 4}})"),
              HasSubstr("wanted U32 [1,8] (4 bits, groups of 64, scales [1,1]), got U32 [1,4]"));
  EXPECT_THAT(with(whole(), "{}"), HasSubstr("no \"quantization\" with group_size and bits"));
  EXPECT_THAT(with(whole(), R"({"quantization": {"group_size": 32, "bits": 7}})"),
              HasSubstr("wanted bits one of [2,3,4,5,6,8], got 7"));
  EXPECT_THAT(with(whole(), R"({"quantization": {"bits": 4}})"),
              HasSubstr("wanted group_size one of [32,64,128], got none"));
  EXPECT_THAT(with(whole(), R"({"quantization": {"group_size": 32, "bits": 4, "l": false}})"),
              HasSubstr("says it is not quantised"));
  EXPECT_THAT(with(weight().add<uint8_t>("l.scales", "U8", {1, 1}, {1}),
                   R"({"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4"}})"),
              HasSubstr("mode \"mxfp4\" can be read for stacked experts"));
}

TEST(SafetensorsSource, StackedExpertsHaveNamesOfTheirOwn) {
  const Folder folder;
  folder.write(
      "model.safetensors",
      Builder()
          .add<float>("mlp.switch_mlp.up_proj.weight", "F32", {2, 1, 3}, {1, 2, 3, 4, 5, 6})
          .add<float>("block_sparse_moe.switch_mlp.down_proj.weight", "F32", {1, 1, 2}, {7, 8})
          .bytes());
  const Source source = std::move(*open_source(folder));
  EXPECT_THAT(values(*source, "mlp.experts.1.up_proj.weight"), ElementsAre(4, 5, 6));
  EXPECT_EQ(source->find("mlp.experts.0.up_proj.weight")->shape, Shape({1, 3}));
  EXPECT_EQ(source->find("mlp.experts.2.up_proj.weight"), nullptr);
  EXPECT_THAT(values(*source, "mlp.switch_mlp.up_proj.weight"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(values(*source, "block_sparse_moe.experts.0.w2.weight"), ElementsAre(7, 8));
}

TEST(SafetensorsSource, RefusesANameStoredTwice) {
  const Folder folder;
  folder.write("model.safetensors",
               Builder()
                   .add<float>("m.switch_mlp.up_proj.weight", "F32", {1, 1, 1}, {1})
                   .add<float>("m.experts.0.up_proj.weight", "F32", {1, 1}, {2})
                   .bytes());
  EXPECT_THAT(refusal(folder),
              HasSubstr("tensor \"m.experts.0.up_proj.weight\" is stored in two forms"));
}

// experts 2, out 3, groups 2; every nibble differs with its place.
TEST(SafetensorsSource, Mxfp4IsTransposed) {
  constexpr size_t kExperts = 2, kOut = 3, kGroups = 2;
  std::vector<uint8_t> blocks(kExperts * kOut * kGroups * 16), scales(kExperts * kOut * kGroups);
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<uint8_t>(i * 37 + 11);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<uint8_t>(120 + i);
  const Folder folder;
  folder.write("model.safetensors", Builder()
                                        .add("experts.up_blocks", "U8", {2, 3, 2, 16}, blocks)
                                        .add("experts.up_scales", "U8", {2, 3, 2}, scales)
                                        .bytes());
  const Source source = std::move(*open_source(folder));
  ASSERT_EQ(source->tensors().size(), 1u);
  const TensorInfo& info = source->tensors()[0];
  EXPECT_EQ(info.name, "experts.up");
  EXPECT_EQ(info.shape, Shape({2, 64, 3}));
  EXPECT_EQ(info.encoding, Encoding::kMXFP4);
  const float e2m1[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  const std::vector<float> out = values(*source, "experts.up");
  for (size_t e = 0; e < kExperts; ++e)
    for (size_t o = 0; o < kOut; ++o)
      for (size_t in = 0; in < kGroups * 32; ++in) {
        const size_t block = (e * kOut + o) * kGroups + in / 32;
        const unsigned code = blocks[block * 16 + in % 32 / 2] >> (in % 2 * 4) & 15u;
        const float value = std::ldexp(e2m1[code & 7], scales[block] - 127);
        ASSERT_EQ(out[(e * kGroups * 32 + in) * kOut + o], (code & 8) ? -value : value);
      }
  EXPECT_EQ(source->quantized(info)->scales.shape, Shape({2, 3, 2}));
}

TEST(SafetensorsSource, Mxfp4ScalesReachBothEnds) {
  const std::vector<uint8_t> blocks(3 * 16, 0x17);  // 6 and 0.5
  const Folder folder;
  folder.write("model.safetensors", Builder()
                                        .add("w_blocks", "U8", {1, 3, 1, 16}, blocks)
                                        .add<uint8_t>("w_scales", "U8", {1, 3, 1}, {0, 254, 255})
                                        .bytes());
  const std::vector<float> out = values(*std::move(*open_source(folder)), "w");
  EXPECT_EQ(out[0], 6 * 0x1p-127f);
  EXPECT_EQ(out[3], 0x1p-128f);
  EXPECT_EQ(out[1], INFINITY);
  EXPECT_EQ(out[4], 0x1p126f);
  EXPECT_TRUE(std::isnan(out[2]));
}

TEST(SafetensorsSource, RefusesMisshapenMxfp4) {
  const Folder folder;
  const std::vector<uint8_t> bytes(32);
  folder.write("model.safetensors", Builder()
                                        .add("w_blocks", "U8", {1, 1, 4, 8}, bytes)
                                        .add("w_scales", "U8", {1, 1, 32}, bytes)
                                        .bytes());
  EXPECT_THAT(refusal(folder), HasSubstr("wanted U8 blocks [experts, out, groups, 16]"));
  folder.write("model.safetensors", Builder()
                                        .add("w_blocks", "U8", {1, 1, 2, 16}, bytes)
                                        .add("w_scales", "U8", {1, 1, 32}, bytes)
                                        .bytes());
  EXPECT_THAT(refusal(folder),
              HasSubstr("tensor \"w_scales\": wanted U8 [1,1,2], a scale for each block"));
}

size_t resident_file_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0, resident = 0, shared = 0;
  statm >> total >> resident >> shared;
  return shared * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(SafetensorsSource, ReleaseGivesPagesBack) {
  constexpr size_t kBytes = size_t{48} << 20;
  const Folder folder;
  folder.write("model.safetensors", Builder()
                                        .add("w", "BF16", {static_cast<int64_t>(kBytes / 2)},
                                             std::vector<uint16_t>(kBytes / 2, 0x3f80))
                                        .bytes());
  const Source source = std::move(*open_source(folder));
  std::vector<float> out(kBytes / 2);
  const size_t before = resident_file_bytes();
  ASSERT_TRUE(source->read_f32(source->tensors()[0], out).ok());
  EXPECT_EQ(out.back(), 1.0f);
  EXPECT_GT(resident_file_bytes(), before + kBytes / 2);
  source->release(source->tensors()[0]);
  EXPECT_LT(resident_file_bytes(), before + kBytes / 8);
}

}  // namespace
}  // namespace continuo::checkpoint
