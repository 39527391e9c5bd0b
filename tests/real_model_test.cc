// A real model against its reference: chats rendered character for character, ids, the top logits,
// greedy ids as far as the reference's own margins decide them.
//   real_model_test GOLDEN.json ENVIRONMENT_VARIABLE_WITH_THE_MODEL_PATH
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/loaded_model.h"
#include "engine/probe.h"
#include "engine/text_model.h"

namespace continuo {
namespace {

using nlohmann::ordered_json;

constexpr double kLogitTolerance = 2e-2, kMargin = 1e-2;
std::string golden_path, model_path;

class RealModel : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::ifstream file(golden_path);
    golden = ordered_json::parse(file);
    engine::LoadOptions options;
    options.model = model_path;
    options.dtype = "f32";
    auto opened = engine::load_model(options);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    loaded = std::move(opened).value();
    auto made = engine::text_model(loaded->checkpoint);
    ASSERT_TRUE(made.ok()) << made.error().message;
    text.emplace(std::move(made).value());
  }
  static void TearDownTestSuite() {
    text.reset();
    loaded.reset();
  }
  static ordered_json golden;
  static std::unique_ptr<engine::LoadedModel> loaded;
  static std::optional<engine::TextModel> text;
};
ordered_json RealModel::golden;
std::unique_ptr<engine::LoadedModel> RealModel::loaded;
std::optional<engine::TextModel> RealModel::text;

TEST_F(RealModel, RendersAndEncodesAsTheReference) {
  ASSERT_FALSE(golden.at("prompts").empty());
  for (const ordered_json& prompt : golden.at("prompts")) {
    std::vector<int32_t> ids;
    if (prompt.contains("messages")) {
      ASSERT_TRUE(text->chat.has_value());
      text::ChatRequest request;
      request.messages = prompt.at("messages").dump();
      auto rendered = text->chat->render(request);
      ASSERT_TRUE(rendered.ok()) << rendered.error().message;
      EXPECT_EQ(*rendered, prompt.at("rendered").get<std::string>());
      auto encoded = text->tokenizer.encode(*rendered, {.add_special = false});
      ASSERT_TRUE(encoded.ok());
      ids = *encoded;
    } else {
      auto encoded = text->tokenizer.encode(prompt.at("prompt").get<std::string>());
      ASSERT_TRUE(encoded.ok());
      ids = *encoded;
    }
    EXPECT_EQ(ids, prompt.at("ids").get<std::vector<int32_t>>());
  }
}

TEST_F(RealModel, GivesTheReferencesLogitsAndTokens) {
  size_t longest = 0;
  for (const ordered_json& prompt : golden.at("prompts"))
    longest = std::max(longest, prompt.at("ids").size());
  engine::Stepper stepper(*loaded->executor, *loaded->model, loaded->target, *loaded->weights,
                          *loaded->cache, {1, 256, 0, false});
  for (const ordered_json& prompt : golden.at("prompts")) {
    const auto ids = prompt.at("ids").get<std::vector<int32_t>>();
    const auto greedy = prompt.at("greedy").get<std::vector<int32_t>>();
    engine::ProbeOptions options;
    options.greedy = int64_t(greedy.size());
    options.longest = int64_t(longest);
    auto result = engine::probe(stepper, ids, options);
    ASSERT_TRUE(result.ok()) << result.error().message;
    const auto top_ids = prompt.at("top20_ids").get<std::vector<size_t>>();
    const auto top_logits = prompt.at("top20_logits").get<std::vector<double>>();
    ASSERT_EQ(top_ids.size(), size_t(20));
    for (size_t i = 0; i < top_ids.size(); ++i)
      EXPECT_NEAR(result->logits.at(top_ids[i]), top_logits[i], kLogitTolerance);
    const auto margins = prompt.at("margins").get<std::vector<double>>();
    size_t decided = 0;
    while (decided < margins.size() && margins[decided] >= kMargin) ++decided;
    ASSERT_GT(decided, size_t(0));
    for (size_t i = 0; i < decided; ++i)
      EXPECT_EQ(result->greedy.at(i), greedy.at(i)) << "step " << i;
  }
}

}  // namespace
}  // namespace continuo

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const char* model = argc == 3 ? std::getenv(argv[2]) : nullptr;
  if (model == nullptr) {
    fmt::print(stderr,
               "wanted GOLDEN.json and the name of a variable that holds the model's path; "
               "`make test` sets it\n");
    return 2;
  }
  continuo::golden_path = argv[1];
  continuo::model_path = model;
  return RUN_ALL_TESTS();
}
