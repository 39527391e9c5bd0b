#include "models/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text_config.h"

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
      for (const json* level : config_levels(config))
        shown.push_back(level->value("model_type", ""));
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

TEST(Registry, FindsTheTextModelInEveryWrapper) {
  for (const char* key : {"text_config", "llm_config", "language_config", "thinker_config"}) {
    const json outer{{"model_type", "some_vision_model"}, {key, llama_config()}};
    EXPECT_EQ((*create(outer, any_tensor))->facts().family, "llama") << key;
    const json outermost{{"model_type", "some_omni_model"}, {"thinker_config", outer}};
    EXPECT_EQ((*create(outermost, any_tensor))->facts().family, "llama") << key;
  }
  // As older LLaVA checkpoints have it: what the classes' defaults do not say.
  const json sparse{{"model_type", "llava"}, {"text_config", {{"vocab_size", 32064}}}};
  const auto model = create(sparse, any_tensor);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->facts().family, "llama");
  EXPECT_EQ((*model)->facts().hidden, 4096);
  EXPECT_EQ((*model)->facts().vocab, 32064);
  EXPECT_FALSE(create({{"model_type", "llama"}, {"vocab_size", 32064}}, any_tensor).ok());
}

std::string refusal(const json& config) {
  const auto model = create(config, any_tensor, "m/config.json");
  return model.ok() ? "" : model.error().message;
}

TEST(Registry, WrappersThatCannotBeReadAreNamed) {
  EXPECT_THAT(refusal({{"model_type", "some_vision_model"},
                       {"llm_config", {{"model_type", "unheard_of"}}}}),
              HasSubstr("m/config.json: model_type \"some_vision_model\" with a text model of "
                        "model_type \"unheard_of\" is not supported; supported: "));
  EXPECT_THAT(refusal({{"model_type", "llava"}, {"text_config", 7}}),
              HasSubstr("m/config.json: \"text_config\": wanted an object, got 7"));
  json outer{{"model_type", "llava"}, {"text_config", llama_config()}};
  outer["text_config"]["hidden_size"] = "wide";
  EXPECT_THAT(refusal(outer), HasSubstr("m/config.json: text_config: \"hidden_size\""));
  outer["model_type"] = "paligemma";
  EXPECT_THAT(refusal(outer), HasSubstr("it attends both ways in the prompt"));
  for (int i = 0; i < 4; ++i) outer = json{{"text_config", outer}};
  EXPECT_THAT(refusal(outer), HasSubstr("expected at most 4 configs inside one another"));
}

std::set<std::string> tensors_read(const HasTensor& has) {
  const auto model = create(llama_config(), has);
  const auto step = write_step(**model, StepShape{.rows = 1, .slots = 1, .context = 32}, {});
  std::set<std::string> names;
  for (const WeightSpec& weight : step->weights)
    names.insert(weight.sources.begin(), weight.sources.end());
  return names;
}

// Whether a llama is read from the tensors of one that lie below `prefix`, and its `head`.
bool reads_below(const std::string& prefix, const std::string& head) {
  std::set<std::string> stored;
  for (const std::string& name : tensors_read(any_tensor))
    stored.insert(name.starts_with("model.") ? prefix + name.substr(6) : head);
  return tensors_read([&](const std::string& name) { return stored.contains(name); }) == stored;
}

TEST(Registry, FindsTheTensorsInEveryWrapper) {
  for (const auto& [prefix, head] : {std::pair{"model.", "lm_head.weight"},
                                     {"model.language_model.", "lm_head.weight"},
                                     {"model.text_model.", "lm_head.weight"},
                                     {"language_model.model.", "language_model.lm_head.weight"},
                                     {"language.model.", "language.lm_head.weight"},
                                     {"llm.model.", "llm.lm_head.weight"},
                                     {"thinker.model.", "thinker.lm_head.weight"},
                                     {"language_model.", "lm_head.weight"},
                                     {"", "lm_head.weight"}})
    EXPECT_TRUE(reads_below(prefix, head)) << prefix;
  EXPECT_FALSE(reads_below("unheard_of.model.", "lm_head.weight"));
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
