// ChatTemplate: a conversation to the text a model was trained on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct ContinuoTemplate;

namespace continuo::text {

class Tokenizer;

// Where a checkpoint may keep its template. Borrowed for the call; null and "" mean not there. The
// first of these that has one wins; then the tokenizer's own.
struct ChatTemplateSource {
  std::string_view jinja;                            // chat_template.jinja, or a user's own
  const nlohmann::json* tokenizer_config = nullptr;  // "chat_template": text or [{name, template}]
  const nlohmann::json* gguf =
      nullptr;  // "tokenizer.chat_template", "tokenizer.chat_template.NAME"
};

// All but the flags JSON text, so that keys keep the order in which templates show them:
// parse requests with nlohmann::ordered_json.
struct ChatRequest {
  std::string messages;   // [{"role": "user", "content": "..."}, ...]
  std::string tools;      // [...]; "" for none
  std::string variables;  // {"enable_thinking": false, ...}; "" for none
  bool add_generation_prompt = true;
  std::optional<int64_t> now;  // for strftime_now: seconds since 1970 as UTC; absent: local time
};

// Jinja as transformers' apply_chat_template runs it (trim_blocks, lstrip_blocks, loop controls,
// raise_exception, strftime_now, its tojson, Python's methods and printing), by minijinja. A
// template is bounded in steps and output. Immutable, cheap to copy, any thread.
class ChatTemplate {
 public:
  // `tokenizer` supplies bos_token and its like. kNotFound: no template; kCorrupt: its syntax.
  static Result<ChatTemplate> create(const ChatTemplateSource& source, const Tokenizer& tokenizer);

  // Uses the template named "tool_use", where there is one, for requests with tools. The message
  // of raise_exception comes back as it is, kInvalidArgument.
  Result<std::string> render(const ChatRequest& request) const;

  const std::string& source() const;  // of the default template

 private:
  struct State;
  explicit ChatTemplate(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace continuo::text
