// What the endpoints know of the model they serve.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/sampling_params.h"
#include "server/api_error.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace continuo::server {

// generation_config.json's values for what a request leaves open, as vLLM reads them.
struct SamplingDefaults {
  engine::SamplingParams sampling{.temperature = 1.0};  // OpenAI's where nothing else is said
  std::optional<int64_t> max_tokens;                    // max_new_tokens
};
// Values of a wrong type or out of range are as if absent. `config`: the file's object, or null.
SamplingDefaults sampling_defaults(const nlohmann::json& config, int64_t vocab);

// Set up before the first request, then immutable; any thread.
struct ServedModel {
  std::vector<std::string> names;            // the first is the one in answers
  int64_t created = 0;                       // seconds since 1970
  int64_t vocab = 0;                         // of the logits
  int64_t context = 0;                       // positions a sequence may have
  int64_t slots = 0;                         // sequences at once
  std::optional<text::Tokenizer> tokenizer;  // absent: token ids in, token ids out
  std::optional<text::ChatTemplate> chat;    // absent: no chat endpoint
  SamplingDefaults defaults;
  size_t longest_text = 0;  // bytes that a text may have, see longest_text(); 0 = any

  const std::string& name() const { return names.front(); }
};

// 404 where a request names another model; no name means this one.
std::optional<ApiError> check_model_name(const ServedModel& model, const Json& body);

// kInvalidArgument, naming `field`, where there is no tokenizer.
Result<const text::Tokenizer*> tokenizer_of(const ServedModel& model, const std::string& field);

// No text of more bytes fits into `context` tokens: so many of the vocabulary's longest, times what
// a normaliser may shrink a text by (four bytes to one, of U+1D41A for "a").
size_t longest_text(const text::Tokenizer& tokenizer, int64_t context);
// kInvalidArgument, naming `field`: a text that need not be encoded to be known as too long.
Status check_text(const ServedModel& model, size_t bytes, const std::string& field);

// DRY: ids of tokens whose text contains one of `breakers`.
std::vector<int32_t> tokens_containing(const text::Tokenizer& tokenizer,
                                       const std::vector<std::string>& breakers);

}  // namespace continuo::server
