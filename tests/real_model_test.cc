// A real model against its reference: chats rendered character for character, ids, the top logits,
// and at every step of the reference's own answer, which is fed to it, how far its token leads.
//   real_model_test GOLDEN.json ENVIRONMENT_VARIABLE_WITH_THE_MODEL_PATH
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
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

constexpr double kLogitTolerance = 1e-3;
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

// By how much `token` leads the best other one; negative where it does not.
double lead_of(size_t token, const std::vector<float>& logits) {
  float other = -INFINITY;
  for (size_t i = 0; i < logits.size(); ++i)
    if (i != token) other = std::max(other, logits[i]);
  return double(logits.at(token)) - double(other);
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
    const auto margins = prompt.at("margins").get<std::vector<double>>();
    ASSERT_FALSE(greedy.empty());
    ASSERT_EQ(margins.size(), greedy.size());
    engine::ProbeOptions options;
    options.greedy = int64_t(greedy.size());
    options.forced = greedy;
    options.longest = int64_t(longest);
    auto result = engine::probe(stepper, ids, options, true);
    ASSERT_TRUE(result.ok()) << result.error().message;
    const auto top_ids = prompt.at("top20_ids").get<std::vector<size_t>>();
    const auto top_logits = prompt.at("top20_logits").get<std::vector<double>>();
    ASSERT_EQ(top_ids.size(), size_t(20));
    double worst = 0, worst_lead = 0;
    for (size_t i = 0; i < top_ids.size(); ++i) {
      EXPECT_NEAR(result->logits.at(top_ids[i]), top_logits[i], kLogitTolerance);
      worst = std::max(worst, std::abs(result->logits.at(top_ids[i]) - top_logits[i]));
    }
    // Two logits within the tolerance differ by twice as much at most, which decides every token
    // that the reference decides and bounds the near-ties.
    for (size_t i = 0; i < greedy.size(); ++i) {
      const double lead = lead_of(size_t(greedy[i]), result->step_logits.at(i));
      EXPECT_NEAR(lead, margins[i], 2 * kLogitTolerance) << "step " << i;
      worst_lead = std::max(worst_lead, std::abs(lead - margins[i]));
    }
    fmt::print("{} tokens and {} more: top 20 within {:.2e}, leads within {:.2e}\n", ids.size(),
               greedy.size(), worst, worst_lead);
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
