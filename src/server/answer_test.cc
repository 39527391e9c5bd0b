#include "server/answer.h"

#include <gmock/gmock.h>

#include "server/served_model_test.h"

namespace continuo::server {
namespace {

const std::vector<std::string> kTexts{
    "a",        " word",          "\"\\\n\t\x01",      "\xc3\xa9\xf0\x9f\x99\x82",
    "\xff cut", "\":\"\\u0001\"", std::string(1, '\0')};

// A chunk that has text alone is written around the text of an earlier one: to the byte what the
// whole object gives, as which the first of a completion is written.
TEST(Answer, LaterChunksAreWrittenAsTheFirstIs) {
  ServedModel model = ids_model();
  model.names = {"a \":\"\\u0001\" name"};
  for (const bool usage : {false, true}) {
    GenerationRequest request;
    request.stream = true;
    request.include_usage = usage;
    request.prompts = {{1}};
    Answer later(request, model, "id", 5);
    later.chunk(0, {.token = 1, .text = "first"});
    for (const std::string& text : kTexts) {
      Answer first(request, model, "id", 5);
      const engine::Event event{.token = 7, .text = text};
      EXPECT_EQ(later.chunk(0, event), first.chunk(0, event)) << text;
    }
  }
}

TEST(Answer, LaterChunksOfAChatHaveTheirTextAndNoRole) {
  const ServedModel model = ids_model();
  GenerationRequest request;
  request.chat = request.stream = true;
  request.request.choices = 2;
  request.prompts = {{1}};
  Answer answer(request, model, "id", 5);
  for (const int64_t choice : {0, 1, 0, 1, 1}) {
    const std::string text = "\"" + std::to_string(choice);
    const std::string chunk = answer.chunk(0, {.choice = choice, .token = 1, .text = text});
    const Json json = Json::parse(chunk.substr(std::string("data: ").size()));
    EXPECT_EQ(json["choices"][0]["index"], choice);
    EXPECT_EQ(json["choices"][0]["delta"]["content"], text);
    EXPECT_EQ(json["object"], "chat.completion.chunk");
  }
  const std::string chunk = answer.chunk(0, {.token = 1, .text = "x"});
  EXPECT_EQ(chunk.find("role"), std::string::npos);
}

}  // namespace
}  // namespace continuo::server
