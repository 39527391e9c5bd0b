// What a checkpoint says about text: its tokenizer and, where it has one, its chat template.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace continuo::engine {

// Immutable; any thread.
struct TextModel {
  text::Tokenizer tokenizer;
  std::optional<text::ChatTemplate> chat;  // nullopt: a base model
};
// kNotFound: the checkpoint has no tokenizer.
Result<TextModel> text_model(const checkpoint::Checkpoint& checkpoint);

// A conversation of at most a system and a user message, rendered and encoded as the model was
// trained. kUnsupported without a template.
Result<std::vector<int32_t>> encode_chat(const TextModel& text, const std::string& system,
                                         const std::string& user);

}  // namespace continuo::engine
