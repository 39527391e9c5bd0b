#include "models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

namespace continuo::models {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::SizeIs;

bool any_tensor(const std::string&) { return true; }

json llama_config() {
  std::ifstream file(CONTINUO_TEST_DATA "/goldens/llama/config.json");
  return json::parse(file);
}

TEST(Registry, EveryNameBelongsToOneFamily) {
  std::map<std::string, std::string> owners;
  for (const Family* family : families()) {
    EXPECT_FALSE(family->model_types.empty()) << family->name;
    EXPECT_NE(family->create, nullptr) << family->name;
    std::vector<std::string> names{"family " + family->name};
    for (const std::string& each : family->model_types) names.push_back("type " + each);
    for (const std::string& each : family->architectures) names.push_back("architecture " + each);
    for (const std::string& each : names)
      EXPECT_TRUE(owners.emplace(each, family->name).second)
          << each << " is in " << owners[each] << " and in " << family->name;
  }
}

TEST(Registry, EveryFamilyHasAGolden) {
  for (const Family* family : families()) {
    EXPECT_FALSE(family->goldens.empty()) << family->name;
    for (const std::string& each : family->goldens)
      EXPECT_TRUE(std::filesystem::exists(std::string(CONTINUO_TEST_DATA "/goldens/") + each +
                                          "/golden.json"))
          << family->name << ": " << each;
  }
}

// What `families` prints is what a golden has shown: of each model_type, one of the family's cases.
TEST(Registry, EveryModelTypeHasAGolden) {
  for (const Family* family : families()) {
    std::vector<std::string> shown;
    for (const std::string& each : family->goldens) {
      std::ifstream file(CONTINUO_TEST_DATA "/goldens/" + each + "/config.json");
      const json config = json::parse(file);
      shown.push_back(config.value("model_type", ""));
      if (config.contains("text_config"))
        shown.push_back(config.at("text_config").value("model_type", ""));
    }
    for (const std::string& type : family->model_types)
      EXPECT_THAT(shown, testing::Contains(type)) << family->name;
  }
}

TEST(Registry, UnknownTypesListTheKnown) {
  const json config{{"model_type", "unheard_of"}, {"architectures", {"UnheardOf"}}};
  const auto model = create(config, any_tensor, "m/config.json");
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(model.error().message,
              HasSubstr("m/config.json: model_type \"unheard_of\" is not supported; supported: "));
  for (const Family* family : families())
    for (const std::string& each : family->model_types)
      EXPECT_THAT(model.error().message, HasSubstr(each));
}

TEST(Registry, ChoosesByTypeThenArchitectureThenNested) {
  json config = llama_config();
  EXPECT_EQ((*create(config, any_tensor))->facts().family, "llama");
  config.erase("model_type");
  EXPECT_EQ((*create(config, any_tensor))->facts().family, "llama");
  const json outer{{"model_type", "some_vision_model"}, {"text_config", llama_config()}};
  EXPECT_EQ((*create(outer, any_tensor))->facts().family, "llama");
}

TEST(Registry, ConfigErrorsAreResults) {
  json config = llama_config();
  config["hidden_size"] = "wide";
  const auto model = create(config, any_tensor, "m/config.json");
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(model.error().message, HasSubstr("m/config.json: \"hidden_size\""));
  EXPECT_FALSE(create(json::array(), any_tensor).ok());
  EXPECT_FALSE(create(json{{"model_type", 7}}, any_tensor).ok());
  EXPECT_FALSE(create(json{{"text_config", 7}}, any_tensor).ok());
}

bool no_head(const std::string& tensor) { return tensor.find("lm_head") == std::string::npos; }

bool reads_head(const json& config, HasTensor has) {
  const auto model = create(config, std::move(has));
  const auto step = write_step(**model, StepShape{.rows = 1, .slots = 1, .context = 32}, {});
  return std::any_of(step->weights.begin(), step->weights.end(), [](const auto& weight) {
    return weight.name.find("lm_head") != std::string::npos;
  });
}

TEST(Registry, TheHeadIsTheEmbeddingWhereThereIsNone) {
  json text = llama_config();
  text["tie_word_embeddings"] = false;
  EXPECT_TRUE(reads_head(text, any_tensor));
  EXPECT_FALSE(reads_head(text, no_head));
  // In a wrapper the wrapper's word counts, then the text model's.
  json outer{{"model_type", "some_vision_model"}, {"text_config", text}};
  EXPECT_TRUE(reads_head(outer, any_tensor));
  EXPECT_FALSE(reads_head(outer, no_head));
  outer["tie_word_embeddings"] = true;
  EXPECT_FALSE(reads_head(outer, any_tensor));
  outer["text_config"]["tie_word_embeddings"] = true;
  outer["tie_word_embeddings"] = false;
  EXPECT_TRUE(reads_head(outer, any_tensor));
  outer.erase("tie_word_embeddings");
  EXPECT_FALSE(reads_head(outer, any_tensor));
}

TEST(WriteStep, SameModelSameBytes) {
  const Target target;
  for (const StepShape& shape :
       {StepShape{.rows = 3, .columns = 4, .slots = 3, .context = 32},
        StepShape{.rows = 1, .columns = 8, .slots = 5, .context = 32, .head = Head::kAll}}) {
    const auto first = create(llama_config(), any_tensor),
               second = create(llama_config(), any_tensor);
    const auto step = write_step(**first, shape, target);
    ASSERT_TRUE(step.ok());
    EXPECT_EQ(step->text, write_step(**second, shape, target)->text);
    EXPECT_EQ(step->text, write_step(**first, shape, target)->text);
    EXPECT_THAT(step->state, SizeIs(2 * 3));
  }
}

TEST(WriteStep, ImpossibleShapesAreErrors) {
  const auto model = create(llama_config(), any_tensor);
  for (const StepShape& shape :
       {StepShape{.rows = 0, .context = 32}, StepShape{.rows = 2, .slots = 1, .context = 32},
        StepShape{.columns = 33, .context = 32}, StepShape{.context = 0},
        StepShape{.columns = 0, .context = 32}, StepShape{.context = 32, .attended = 33}}) {
    const auto step = write_step(**model, shape, {});
    ASSERT_FALSE(step.ok());
    EXPECT_THAT(step.error().message, HasSubstr("llama (llama): [step] wanted"));
  }
}

}  // namespace
}  // namespace continuo::models
