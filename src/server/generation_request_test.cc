#include "server/generation_request.h"

#include <gmock/gmock.h>

#include "server/served_model_test.h"

namespace continuo::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr auto kNever = engine::TimePoint::max();
constexpr const char* kMessages = R"("messages": [{"role": "user", "content": "ab"}])";

const ServedModel& with_text() {
  static const ServedModel model = text_model();
  return model;
}

GenerationRequest read(const std::string& body, bool chat = false,
                       const ServedModel& model = with_text()) {
  auto out = read_generation(body, chat, model, kNever);
  const auto* error = std::get_if<ApiError>(&out);
  EXPECT_EQ(error, nullptr) << body << ": " << error->message;
  return error == nullptr ? std::get<GenerationRequest>(std::move(out)) : GenerationRequest();
}
ApiError refusal(const std::string& body, bool chat = false,
                 const ServedModel& model = with_text()) {
  auto out = read_generation(body, chat, model, kNever);
  EXPECT_TRUE(std::holds_alternative<ApiError>(out)) << body;
  auto* error = std::get_if<ApiError>(&out);
  return error == nullptr ? ApiError{} : std::move(*error);
}
std::string completion(const std::string& more) { return R"({"prompt": "ab", )" + more + "}"; }
std::string chat(const std::string& more) { return "{" + (kMessages + (", " + more)) + "}"; }

TEST(GenerationRequest, WrongTypesNameTheirField) {
  const auto wrong = [](const std::string& name, const char* value, bool is_chat) {
    const std::string field = "\"" + name + "\": " + value;
    const ApiError error = refusal(is_chat ? chat(field) : completion(field), is_chat);
    EXPECT_EQ(error.status, 400) << field;
    EXPECT_THAT(error.param, StartsWith(name)) << field << ": " << error.message;
  };
  for (const char* name : {"model",
                           "stream",
                           "stream_options",
                           "n",
                           "seed",
                           "temperature",
                           "top_p",
                           "top_k",
                           "min_p",
                           "repetition_penalty",
                           "frequency_penalty",
                           "presence_penalty",
                           "dry_multiplier",
                           "dry_base",
                           "dry_allowed_length",
                           "dry_penalty_last_n",
                           "dry_sequence_breakers",
                           "logit_bias",
                           "stop",
                           "stop_token_ids",
                           "ignore_eos",
                           "skip_special_tokens",
                           "max_tokens",
                           "return_token_ids",
                           "return_tokens_as_token_ids",
                           "include_stop_str_in_output",
                           "logprobs"})
    for (const bool is_chat : {false, true}) wrong(name, R"([{"a": 1}])", is_chat);
  for (const char* name : {"top_logprobs", "max_completion_tokens", "messages", "tools",
                           "chat_template_kwargs", "add_generation_prompt", "reasoning_effort"})
    wrong(name, "7.5", true);
  wrong("prompt", "7.5", false);
  EXPECT_EQ(refusal(R"({"messages": [{"role": 5}]})", true).param, "messages[0].role");
  EXPECT_EQ(refusal(R"({"messages": [{"role": "user", "content": 5}]})", true).param,
            "messages[0].content");
  EXPECT_EQ(refusal(R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})", true)
                .param,
            "messages[0].content[0]");
  EXPECT_EQ(refusal(completion(R"("stream": true, "stream_options": {"include_usage": 1})")).param,
            "stream_options.include_usage");
}

TEST(GenerationRequest, OutOfRangeNamesItsField) {
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"temperature", "-0.1"},
           {"top_p", "1.1"},
           {"top_k", "-2"},
           {"min_p", "2"},
           {"repetition_penalty", "0"},
           {"frequency_penalty", "2.1"},
           {"presence_penalty", "-3"},
           {"n", "0"},
           {"n", "4"},
           {"max_tokens", "0"},
           {"logprobs", "21"},
           {"stop", "\"\""},
           {"stop_token_ids", "[-1]"},
           {"logit_bias", R"({"-1": 1})"},
           {"logit_bias", R"({"1": 101})"},
           {"seed", "1.5"},
           {"dry_multiplier", "-1"},
           {"min_tokens", "-1"},
           {"min_tokens", "17"},
           {"bad_words", R"(["a", ""])"},
           {"bad_words", R"(["  "])"},
           {"bad_words", "[5]"},
           {"dry_sequence_breakers", R"(["a", ""])"}}) {
    const ApiError error = refusal(completion("\"" + std::string(name) + "\": " + value));
    EXPECT_EQ(error.status, 400) << name;
    EXPECT_THAT(error.param, StartsWith(name)) << error.message;
  }
  EXPECT_EQ(refusal(chat(R"("top_logprobs": 2)"), true).param, "top_logprobs");
  EXPECT_EQ(refusal(chat(R"("logprobs": true, "top_logprobs": 21)"), true).param, "top_logprobs");
}

TEST(GenerationRequest, WhatIsNotThereIsRefused) {
  for (const char* field :
       {R"("echo": true)", R"("suffix": "x")", R"("best_of": 2)", R"("prompt_logprobs": 1)",
        R"("guided_json": {})", R"("response_format": {"type": "json_object"})",
        R"("use_beam_search": true)", R"("prompt_embeds": "x")"}) {
    const ApiError error = refusal(completion(field));
    EXPECT_EQ(error.status, 400) << field;
    EXPECT_EQ(error.code, "unsupported") << field;
    EXPECT_THAT(field, StartsWith("\"" + error.param + "\""));
  }
  for (const char* field :
       {R"("repeat_penalty": 1.2)", R"("mirostat": 2)", R"("typical_p": 0.5)", R"("n_predict": 5)"})
    EXPECT_EQ(refusal(completion(field)).code, "unsupported") << field;
  read(completion(R"("repeat_penalty": 1.0, "mirostat": 0, "typical_p": 1, "n_predict": -1)"));
  for (const char* field :
       {R"("tool_choice": "required")", R"("functions": [{}])", R"("function_call": {"name": "f"})",
        R"("documents": [{}])", R"("web_search_options": {})", R"("modalities": ["audio"])",
        R"("chat_template": "x")"})
    EXPECT_EQ(refusal(chat(field), true).code, "unsupported") << field;
  // Their harmless values pass, as does what nobody has heard of, and null is as if absent.
  read(
      completion(R"("echo": false, "suffix": "", "n": 2, "best_of": 2, "unheard_of": {"a": [1]})"));
  read(
      completion(R"("stop": null, "temperature": null, "stream_options": null, "logprobs": null)"));
}

TEST(GenerationRequest, ToolsAreRefusedUnlessNoneMayBeCalled) {
  const std::string tools = R"("tools": [{"type": "function", "function": {"name": "f"}}])";
  for (const char* choice : {"", R"(, "tool_choice": "auto")", R"(, "tool_choice": null)"}) {
    const ApiError error = refusal(chat(tools + choice), true);
    EXPECT_EQ(std::tuple(error.status, error.param, error.code),
              std::tuple(400, "tools", "unsupported"))
        << choice;
  }
  // Then the model does not see them; and a list of none is as if absent.
  const std::string without = read(chat(R"("n": 1)"), true).texts.at(0);
  EXPECT_EQ(read(chat(tools + R"(, "tool_choice": "none")"), true).texts.at(0), without);
  EXPECT_EQ(read(chat(R"("tools": [], "tool_choice": "auto")"), true).texts.at(0), without);
}

// A list of `count` times `each`.
std::string list(size_t count, const std::string& each) {
  std::string out = "[";
  for (size_t i = 0; i < count; ++i) out += (i > 0 ? "," : "") + each;
  return out + "]";
}
std::string text_of(size_t bytes) { return '"' + std::string(bytes, 'x') + '"'; }

TEST(GenerationRequest, EveryFieldIsBounded) {
  const auto biases = [](int count) {
    Json out = Json::object();
    for (int i = 0; i < count; ++i) out[std::to_string(i)] = 1;
    return dump(out);
  };
  struct Case {
    const char* param;
    std::string most, more;  // members, the longest that pass and what is longer
    const char* bound;
    bool is_chat = false;
  };
  const std::string user = R"({"role": "user", "content": "a"})";
  for (const Case& each : std::initializer_list<Case>{
           {"stop", R"("stop": )" + list(16, "\"x\""), R"("stop": )" + list(17, "\"x\""),
            "at most 16 strings, got 17"},
           {"stop[1]", R"("stop": ["a", )" + text_of(1024) + "]",
            R"("stop": ["a", )" + text_of(1025) + "]", "at most 1024 bytes, got 1025"},
           {"stop", R"("stop": )" + text_of(1024), R"("stop": )" + text_of(4000), "got 4000"},
           {"dry_sequence_breakers", R"("dry_sequence_breakers": )" + list(16, "\"x\""),
            R"("dry_sequence_breakers": )" + list(18, "\"x\""), "at most 16 strings, got 18"},
           {"stop_token_ids", R"("stop_token_ids": )" + list(1024, "5"),
            R"("stop_token_ids": )" + list(1025, "5"), "at most 1024 token ids, got 1025"},
           {"logit_bias", R"("logit_bias": )" + biases(384), R"("logit_bias": )" + biases(513),
            "at most 512 biases, got 513"},
           {"user", R"("user": )" + text_of(1024), R"("user": )" + text_of(1026), "got 1026"},
           {"metadata", R"("metadata": {})", R"("metadata": )" + biases(17), "at most 16 pairs"},
           {"messages[0].content", R"("messages": [{"role": "user", "content": "a"}])",
            R"("messages": [{"role": "user", "content": )" +
                list(1025, R"({"type": "text", "text": ""})") + "}]",
            "at most 1024 parts, got 1025", true},
           {"messages", R"("messages": )" + list(3, user), R"("messages": )" + list(4097, user),
            "at most 4096 of them, got 4097", true},
           {"messages[0].role", R"("messages": [)" + user + "]",
            R"("messages": [{"role": )" + text_of(1025) + "}]", "got 1025", true},
           {"chat_template_kwargs",
            std::string(kMessages) + R"(, "chat_template_kwargs": {"a": 1})",
            std::string(kMessages) + R"(, "chat_template_kwargs": {"a": )" + text_of(70'000) + "}",
            "at most 65536 bytes", true}}) {
    const auto body = [&](const std::string& field) {
      return each.is_chat ? "{" + field + "}" : completion(field);
    };
    read(body(each.most), each.is_chat);
    const ApiError error = refusal(body(each.more), each.is_chat);
    EXPECT_EQ(error.status, 400) << each.param;
    EXPECT_EQ(error.param, each.param) << error.message;
    EXPECT_THAT(error.message, HasSubstr(each.bound));
  }
  EXPECT_EQ(read("{\"prompt\": " + list(1024, "[5]") + "}").prompts.size(), 1024u);
  EXPECT_THAT(refusal("{\"prompt\": " + list(1025, "[5]") + "}").message,
              HasSubstr("at most 1024 prompts, got 1025"));
  EXPECT_EQ(refusal("{\"prompt\": " + list(600, "[5]") + ", \"n\": 2}").param, "n");
}

TEST(GenerationRequest, LongTextsAreRefusedBeforeTheyAreEncoded) {
  const ServedModel& model = with_text();
  // Every token's text fits, so that no prompt is refused that could have run.
  for (int32_t id = 0; id < model.tokenizer->vocab_size(); ++id) {
    const size_t bytes = model.tokenizer->token_bytes(id).value_or("").size();
    ASSERT_LE(bytes * static_cast<size_t>(model.context), model.longest_text);
  }
  const std::string longer(model.longest_text + 1, 'x');
  const std::string bound = std::to_string(model.longest_text) + " bytes";
  const ApiError error = refusal(R"({"prompt": ["a", ")" + longer + "\"]}");
  EXPECT_EQ(error.param, "prompt[1]");
  EXPECT_THAT(error.message, HasSubstr(bound));
  const ApiError chat_error =
      refusal(R"({"messages": [{"role": "user", "content": ")" + longer + "\"}]}", true);
  EXPECT_EQ(chat_error.param, "messages");
  EXPECT_THAT(chat_error.message, HasSubstr(bound));
}

TEST(GenerationRequest, FieldsReachTheEngine) {
  const GenerationRequest out = read(completion(
      R"("max_tokens": 9, "n": 2, "seed": 7, "temperature": 0.5, "top_k": 3, "top_p": 0.9,)"
      R"("min_p": 0.1, "repetition_penalty": 1.5, "frequency_penalty": 1, "presence_penalty": -1,)"
      R"("logit_bias": {"5": -100}, "stop": ["x", "yz"], "stop_token_ids": [4], "ignore_eos": true,)"
      R"("skip_special_tokens": false, "logprobs": 2, "stream": true, "return_token_ids": true,)"
      R"("stream_options": {"include_usage": true})"));
  const engine::Request& request = out.request;
  const engine::SamplingParams& sampling = request.sampling;
  EXPECT_EQ(std::tuple(request.max_tokens, request.choices, sampling.seed, request.top_logprobs),
            std::tuple(9, 2, 7u, 2));
  EXPECT_EQ(std::tuple(sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p),
            std::tuple(0.5, 3, 0.9, 0.1));
  EXPECT_EQ(std::tuple(sampling.repetition_penalty, sampling.frequency_penalty,
                       sampling.presence_penalty, sampling.logit_bias.at(5)),
            std::tuple(1.5, 1.0, -1.0, -100.0F));
  EXPECT_THAT(request.stops, ElementsAre("x", "yz"));
  EXPECT_THAT(request.stop_ids, ElementsAre(4));
  EXPECT_TRUE(request.ignore_eos && !request.skip_special && out.stream && out.include_usage &&
              out.return_token_ids);
}

// vLLM's spellings: the word, and after a space where that is another token.
TEST(GenerationRequest, BadWordsAndTheLeastLengthReachTheEngine) {
  const ServedModel model = text_model();
  const auto ids = [&](const std::string& text) {
    return *model.tokenizer->encode(text, {.add_special = false});
  };
  const engine::SamplingParams sampling =
      read(R"({"prompt": "ab", "max_tokens": 9, "min_tokens": 4, "bad_words": ["a", " zq"]})",
           false, model)
          .request.sampling;
  EXPECT_EQ(sampling.min_tokens, 4);
  EXPECT_THAT(sampling.bad_words, testing::IsSupersetOf({ids("a"), ids("zq")}));
  for (const auto& word : sampling.bad_words)
    EXPECT_THAT((std::vector{ids("a"), ids(" a"), ids("zq"), ids(" zq")}), testing::Contains(word));
}

TEST(GenerationRequest, AbsentFieldsAreOpenAisOrTheModels) {
  GenerationRequest plain = read(R"({"prompt": "ab"})");
  EXPECT_EQ(plain.request.max_tokens, 16);
  EXPECT_EQ(plain.request.sampling.temperature, 1);
  EXPECT_EQ(plain.request.top_logprobs, -1);
  EXPECT_FALSE(plain.stream || plain.return_token_ids || plain.request.ignore_eos);
  EXPECT_EQ(read("{" + std::string(kMessages) + "}", true).request.max_tokens, 512);  // the context

  ServedModel model = text_model();
  model.defaults = sampling_defaults(
      Json::parse(R"({"temperature": 0.6, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.1,)"
                  R"("max_new_tokens": 77, "min_p": "wrong"})"),
      model.vocab);
  plain = read(R"({"prompt": "ab", "top_k": 5})", false, model);
  EXPECT_EQ(plain.request.max_tokens, 77);
  const engine::SamplingParams& sampling = plain.request.sampling;
  EXPECT_EQ(std::tuple(sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p,
                       sampling.repetition_penalty),
            std::tuple(0.6, 5, 0.95, 0.0, 1.1));
}

TEST(GenerationRequest, ChatsHaveTheirOwnLimitsAndLogprobs) {
  EXPECT_EQ(read(chat(R"("max_tokens": 3)"), true).request.max_tokens, 3);
  EXPECT_EQ(read(chat(R"("max_tokens": 3, "max_completion_tokens": 5)"), true).request.max_tokens,
            5);
  EXPECT_EQ(read(chat(R"("logprobs": false)"), true).request.top_logprobs, -1);
  EXPECT_EQ(read(chat(R"("logprobs": true)"), true).request.top_logprobs, 0);
  EXPECT_EQ(read(chat(R"("logprobs": true, "top_logprobs": 4)"), true).request.top_logprobs, 4);
}

TEST(GenerationRequest, PromptsAreTextsOrIds) {
  EXPECT_THAT(read(R"({"prompt": [5, 7.0]})").prompts, ElementsAre(ElementsAre(5, 7)));
  EXPECT_THAT(read(R"({"prompt": [[5], [6, 7]]})").prompts,
              ElementsAre(ElementsAre(5), ElementsAre(6, 7)));
  EXPECT_EQ(read(R"({"prompt": ["a", "b"]})").prompts.size(), 2u);
  for (const char* prompt : {"[]", "[[]]", "[[5], 6]", "{}", "null", "[true]", "[5, \"a\"]"})
    EXPECT_THAT(refusal(R"({"prompt": )" + std::string(prompt) + "}").message, StartsWith("prompt"))
        << prompt;
  EXPECT_THAT(refusal(R"({"prompt": [385]})", false, ids_model()).message, HasSubstr("below 384"));
  std::string ids = "5";
  for (int i = 1; i < 64; ++i) ids += ",5";
  EXPECT_THAT(refusal("{\"prompt\": [" + ids + "]}", false, ids_model()).message,
              HasSubstr("context is 64 tokens"));
}

TEST(GenerationRequest, WithoutATokenizerThereAreOnlyIds) {
  const ServedModel model = ids_model();
  EXPECT_TRUE(read(R"({"prompt": [5]})", false, model).return_token_ids);
  EXPECT_THAT(refusal(R"({"prompt": "a"})", false, model).message, HasSubstr("no tokenizer"));
  EXPECT_EQ(refusal(R"({"prompt": [5], "stop": "a"})", false, model).param, "stop");
  EXPECT_THAT(refusal("{" + std::string(kMessages) + "}", true, model).message,
              HasSubstr("no chat template"));
}

}  // namespace
}  // namespace continuo::server
