// Folders that mlx-lm wrote against the Hugging Face checkpoints they were made of.
#include "checkpoint/mlx_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/mapped_file.h"
#include "checkpoint/checkpoint.h"

namespace continuo::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

const fs::path kGoldens = fs::path(CONTINUO_TEST_DATA) / "goldens";

std::vector<std::string> converted_cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kGoldens / "mlx"))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

json unchanged_cases() {
  return parse_json(*read_text_file((kGoldens / "mlx/unchanged.json").string()), "unchanged.json")
      ->at("cases");
}

std::string model_type(const std::string& case_name) {
  OpenOptions only_config;
  only_config.weights = false;
  const json config = open((kGoldens / case_name).string(), only_config)->config;
  return config.at("model_type");
}

// The name in a checkpoint that has been renamed since, or that of a wrapped text model.
std::string replaced(std::string name, const std::string& from, const std::string& to) {
  if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
  return name;
}
const TensorInfo* find(const TensorSource& source, const std::string& name) {
  for (const std::string& each :
       {name, replaced(name, "model.language_model.", "language_model.model."),
        replaced(name, "lm_head.", "language_model.lm_head."),
        replaced(name, "attention_layer_norm", "input_layernorm"),
        replaced(name, "feedforward_layer_norm", "post_attention_layernorm")})
    if (const TensorInfo* info = source.find(each); info != nullptr) return info;
  return nullptr;
}

std::vector<int64_t> without_ones(const Shape& shape) {
  std::vector<int64_t> dims;
  for (const int64_t dim : shape.dims())
    if (dim != 1) dims.push_back(dim);
  return dims;
}

std::vector<float> values(const TensorSource& source, const TensorInfo& info) {
  std::vector<float> out(static_cast<size_t>(info.shape.elements()));
  const Status status = source.read_f32(info, out);
  EXPECT_TRUE(status.ok()) << status.error().message;
  return out;
}

class Converted : public ::testing::TestWithParam<std::string> {};

TEST_P(Converted, EveryTensorIsTheOriginal) {
  const auto original = open((kGoldens / GetParam()).string());
  const auto mlx = open((kGoldens / "mlx" / GetParam()).string());
  ASSERT_TRUE(original.ok()) << original.error().message;
  ASSERT_TRUE(mlx.ok()) << mlx.error().message;
  EXPECT_EQ(mlx->format, "mlx");
  int compared = 0;
  for (const TensorInfo& info : original->tensors->tensors()) {
    const TensorInfo* own = find(*mlx->tensors, info.name);
    ASSERT_NE(own, nullptr) << info.name;
    ASSERT_EQ(without_ones(own->shape), without_ones(info.shape)) << info.name;
    const std::vector<float> wanted = values(*original->tensors, info);
    const std::vector<float> got = values(*mlx->tensors, *own);
    // The folder is in float16; norms lie there as 1 + w.
    float largest = 1e-3f;
    for (const float each : wanted) largest = std::max(largest, std::abs(each));
    if (info.name.ends_with("norm.weight")) largest += 1;
    for (size_t i = 0; i < wanted.size(); ++i)
      ASSERT_NEAR(got[i], wanted[i], 6e-4 * double(largest)) << info.name << " element " << i;
    ++compared;
  }
  EXPECT_GT(compared, 10);
}

INSTANTIATE_TEST_SUITE_P(Families, Converted, ::testing::ValuesIn(converted_cases()),
                         [](const auto& each) { return each.param; });

TEST(MlxFamilies, EachHasAConvertedGoldenOrAnUnchangedOne) {
  // deepseek_v2 and kimi_k2 take the paths of others: no rewriting, and DeepSeek-V3's class.
  std::set<std::string> seen{"deepseek_v2", "kimi_k2", "qwen3_5_text"};
  for (const std::string& each : converted_cases()) seen.insert(model_type(each));
  for (const json& each : unchanged_cases()) seen.insert(model_type(each.get<std::string>()));
  std::set<std::string> listed;
  for (const MlxFamily& family : mlx_families()) listed.emplace(family.model_type);
  EXPECT_EQ(listed, seen);
}

TEST(MlxFamilies, RulesAreThereForWhatIsConvertedOnly) {
  for (const json& each : unchanged_cases()) {
    const MlxFamily* family = find_mlx_family(model_type(each.get<std::string>()));
    ASSERT_NE(family, nullptr) << each;
    EXPECT_EQ(family->undo, nullptr) << each;
  }
}

// Tensors by name, with elements 0, 1, 2, ...
class Counting : public TensorSource {
 public:
  explicit Counting(std::vector<TensorInfo> infos) : infos_(std::move(infos)) {
    std::sort(infos_.begin(), infos_.end(),
              [](const TensorInfo& a, const TensorInfo& b) { return a.name < b.name; });
  }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  Status read_f32(const TensorInfo&, std::span<float> out) const override {
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i);
    return ok_status();
  }
  std::optional<HostView> plain(const TensorInfo&) const override { return std::nullopt; }
  std::optional<QuantizedTensor> quantized(const TensorInfo&) const override {
    return std::nullopt;
  }
  void release(const TensorInfo&) const override {}
  std::string location(const TensorInfo&) const override { return "memory"; }

 private:
  std::vector<TensorInfo> infos_;
};

Result<std::unique_ptr<TensorSource>> make(std::vector<TensorInfo> infos, const json& config) {
  return make_mlx_source(std::make_unique<Counting>(std::move(infos)), config, "folder");
}

TEST(MlxSource, RefusesAFamilyThatMlxLmHasNot) {
  const auto made = make({}, {{"model_type", "bamba"}});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(made.error().message, HasSubstr("bamba"));
  EXPECT_FALSE(make({}, json::object()).ok());
  EXPECT_FALSE(make({}, {{"model_type", 7}}).ok());
  EXPECT_FALSE(make({}, {{"text_config", "x"}}).ok());
  const json inner{{"language_config", {{"model_type", "llama"}}}};
  EXPECT_TRUE(make({}, {{"thinker_config", inner}}).ok());
}

TEST(MlxSource, NamesTheTensorWhosePartnerIsMissingOrDoesNotFit) {
  const json config{{"model_type", "deepseek_v3"}};
  const std::string at = "model.layers.3.self_attn.";
  const auto alone = make({{at + "embed_q.weight", {2, 5, 3}}}, config);
  ASSERT_FALSE(alone.ok());
  EXPECT_THAT(alone.error().message, HasSubstr(at + "unembed_out.weight"));
  const auto odd =
      make({{at + "embed_q.weight", {2, 5, 3}}, {at + "unembed_out.weight", {2, 4, 6}}}, config);
  ASSERT_FALSE(odd.ok());
  EXPECT_THAT(odd.error().message, HasSubstr("do not fit"));
}

TEST(MlxSource, JoinsALatentProjectionHeadByHead) {
  const json config{{"model_type", "kimi_k2"}};
  const auto made = make(
      {{"a.self_attn.embed_q.weight", {2, 3, 1}}, {"a.self_attn.unembed_out.weight", {2, 2, 3}}},
      config);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const TensorInfo* info = (*made)->find("a.self_attn.kv_b_proj.weight");
  ASSERT_NE(info, nullptr);
  EXPECT_EQ(info->shape, (Shape{6, 3}));
  EXPECT_THAT(values(**made, *info),
              ::testing::ElementsAre(0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  std::vector<float> few(17);
  EXPECT_FALSE((*made)->read_f32(*info, few).ok());
}

TEST(MlxSource, RefusesMultipliersThatCannotBeDividedBy) {
  json config{{"model_type", "falcon_h1"}, {"embedding_multiplier", 0}};
  EXPECT_FALSE(make({}, config).ok());
  config = {{"model_type", "falcon_h1"}, {"mamba_d_ssm", 1e300}};
  EXPECT_FALSE(make({}, config).ok());
  config = {{"model_type", "falcon_h1"}, {"ssm_multipliers", {1, 2}}};
  EXPECT_FALSE(make({}, config).ok());
}

}  // namespace
}  // namespace continuo::checkpoint
