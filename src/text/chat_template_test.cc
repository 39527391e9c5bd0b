#include "text/chat_template.h"

#include <gmock/gmock.h>

#include "text/golden_test.h"

namespace continuo::text {
namespace {

using ::testing::HasSubstr;

constexpr const char* kChat =
    R"([{"role": "system", "content": " Be terse. "}, {"role": "user", "content": "Hi <b>"},
        {"role": "assistant", "content": "Yo"}, {"role": "user", "content": "Bye"}])";
constexpr const char* kTools =
    R"([{"type": "function", "function": {"name": "add", "parameters": {"z": 1, "a": "é<"}}}])";

Result<std::string> render(const std::string& source, const ChatRequest& request) {
  static const Tokenizer tokenizer = Golden("tokenizer").tokenizer();
  CONTINUO_TRY(const ChatTemplate chat, ChatTemplate::create({.jinja = source}, tokenizer));
  return chat.render(request);
}

TEST(ChatTemplate, RendersTheGoldensAndTheirIds) {
  for (const std::string& name : golden_names()) {
    const Golden golden(name);
    const Tokenizer tokenizer = golden.tokenizer();
    const auto chat =
        ChatTemplate::create({.tokenizer_config = &golden.tokenizer_config}, tokenizer);
    ASSERT_TRUE(chat.ok()) << chat.error().message;
    ASSERT_EQ(golden.expected["chat"].size(), 3u);
    for (const json& expected : golden.expected["chat"]) {
      const std::string text =
          *chat->render({.messages = expected["messages"].dump(),
                         .add_generation_prompt = expected["add_generation_prompt"]});
      EXPECT_EQ(text, expected["text"]);
      EXPECT_EQ(*tokenizer.encode(text, {.add_special = false}), expected["ids"].get<Ids>());
    }
  }
}

// Header tokens around each role, a date, and BOS written by the template (as Llama 3).
TEST(ChatTemplate, HeadersWithADateAndBos) {
  const std::string source = R"({{- bos_token }}
{%- if not date_string is defined %}{% set date_string = strftime_now("%d %b %Y") %}{% endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|head|>system<|/head|>\n\nToday: " + date_string + "\n" + system_message + "<|eot|>" }}
{%- for message in messages %}
    {{- '<|head|>' + message['role'] + '<|/head|>\n\n' + message['content'] | trim + '<|eot|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|/head|>\n\n' }}
{%- endif %})";
  EXPECT_EQ(*render(source, {.messages = kChat, .now = 1722384000}),
            "<|bos|><|head|>system<|/head|>\n\nToday: 31 Jul 2024\nBe terse.<|eot|>"
            "<|head|>user<|/head|>\n\nHi <b><|eot|><|head|>assistant<|/head|>\n\nYo<|eot|>"
            "<|head|>user<|/head|>\n\nBye<|eot|><|head|>assistant<|/head|>\n\n");
}

// Tools as JSON lines, thinking stripped from old turns, a switch by keyword (as Qwen 3).
TEST(ChatTemplate, ToolsAndThinking) {
  const std::string source = R"({%- if tools %}
    {{- '<tools>' }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools>\n" }}
{%- endif %}
{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if message.role == "user" and not message.content.startswith('<tool>') %}
        {%- set ns.last = index %}
        {%- break %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}{% set content = message.content %}{% else %}{% set content = '' %}{% endif %}
    {%- if '</think>' in content and loop.index0 < ns.last %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- message.role + ': ' + content + '\n' }}
    {%- if message.tool_calls %}
        {%- for call in message.tool_calls %}
            {{- call.name ~ '(' ~ (call.arguments | tojson) ~ ')\n' }}
        {%- endfor %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'assistant: ' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n' }}{% endif %}
{%- endif %})";
  const std::string messages =
      R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>t</think>\n\na"},
          {"role": "assistant", "content": null, "tool_calls": [{"name": "f", "arguments": {"y": 2, "x": [1.0, true]}}]},
          {"role": "user", "content": "r"}])";
  EXPECT_EQ(*render(source, {.messages = messages,
                             .tools = kTools,
                             .variables = R"({"enable_thinking": false})"}),
            "<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"add\", \"parameters\": "
            "{\"z\": 1, \"a\": \"é<\"}}}\n</tools>\nuser: q\nassistant: a\nassistant: \n"
            "f({\"y\": 2, \"x\": [1.0, true]})\nuser: r\nassistant: <think>\n\n</think>\n");
  EXPECT_EQ(*render(source, {.messages = R"([{"role": "user", "content": "q"}])"}),
            "user: q\nassistant: ");
}

// Roles renamed and forced to alternate (as Gemma and Mistral).
TEST(ChatTemplate, RolesMustAlternate) {
  const std::string source =
      R"({{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set first = messages[0]['content'].strip() + '\n\n' %}{% else %}{% set loop_messages = messages %}{% set first = '' %}{% endif %}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<turn>' + role + '\n' + (first if loop.first else '') }}
    {%- if message['content'] is iterable and message['content'] is not string -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ message['content'] | trim }}
    {%- endif -%}
    {{ '<end>\n' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<turn>model\n' }}{% endif -%})";
  EXPECT_EQ(*render(source, {.messages = kChat, .add_generation_prompt = false}),
            "<|bos|><turn>user\nBe terse.\n\nHi <b><end>\n<turn>model\nYo<end>\n"
            "<turn>user\nBye<end>\n");
  const auto parts =
      R"([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " p "}]}])";
  EXPECT_EQ(*render(source, {.messages = parts}), "<|bos|><turn>user\np<end>\n<turn>model\n");
  const auto refused = render(source, {.messages = R"([{"role": "assistant", "content": "x"}])"});
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused.error().message,
            "Conversation roles must alternate user/assistant/user/assistant/...");
}

TEST(ChatTemplate, IsFoundWhereverACheckpointKeepsIt) {
  const Tokenizer tokenizer = Golden("tokenizer").tokenizer();
  const json named = {{"chat_template",
                       {{{"name", "default"}, {"template", "D{{ bos_token }}"}},
                        {{"name", "tool_use"}, {"template", "T{{ tools|length }}"}}}}};
  const auto config = ChatTemplate::create({.tokenizer_config = &named}, tokenizer);
  EXPECT_EQ(*config->render({.messages = "[]"}), "D<|bos|>");
  EXPECT_EQ(*config->render({.messages = "[]", .tools = "[]"}), "D<|bos|>");
  EXPECT_EQ(*config->render({.messages = "[]", .tools = kTools}), "T1");
  EXPECT_EQ(config->source(), "D{{ bos_token }}");

  const json gguf = {{"tokenizer.chat_template", "G"},
                     {"tokenizer.chat_template.tool_use", "U"},
                     {"tokenizer.chat_templates", {"tool_use"}}};
  const auto embedded = ChatTemplate::create({.gguf = &gguf}, tokenizer);
  EXPECT_EQ(*embedded->render({.messages = "[]"}), "G");
  EXPECT_EQ(*embedded->render({.messages = "[]", .tools = kTools}), "U");
  const auto file = ChatTemplate::create({.jinja = "J", .tokenizer_config = &named}, tokenizer);
  EXPECT_EQ(*file->render({.messages = "[]"}), "J");

  const json none = {{"chat_template", nullptr}}, strange = {{"chat_template", {1, {{"name", 2}}}}};
  for (const json* source : {&none, &strange}) {
    const auto missing = ChatTemplate::create({.tokenizer_config = source}, tokenizer);
    EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  }
}

TEST(ChatTemplate, RefusesWhatItCannotUse) {
  const auto syntax = render("{% for %}", {.messages = "[]"});
  EXPECT_EQ(syntax.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(syntax.error().message, HasSubstr("chat_template:1"));
  EXPECT_THAT(render("x", {.messages = "{}"}).error().message, HasSubstr("wanted an array"));
  EXPECT_THAT(render("x", {.messages = "[]", .variables = "7"}).error().message,
              HasSubstr("wanted a JSON object, got number"));
  EXPECT_THAT(render("x", {.messages = "[\"\xff\"]"}).error().message, HasSubstr("UTF-8"));
  EXPECT_THAT(render("\xff", {.messages = "[]"}).error().message, HasSubstr("UTF-8"));
  EXPECT_FALSE(render("{{ messages[0].a.b.c }}", {.messages = "[]"}).ok());
}

}  // namespace
}  // namespace continuo::text
