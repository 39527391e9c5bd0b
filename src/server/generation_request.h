// A body of /v1/completions or /v1/chat/completions, read and encoded: what the engine is to do and
// how the answer is to look.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "engine/request.h"
#include "server/fields.h"
#include "server/served_model.h"

namespace continuo::server {

struct GenerationRequest {
  bool chat = false;
  std::vector<std::vector<int32_t>> prompts;  // one for a chat; token ids, each at least one
  std::vector<std::string> texts;  // of the prompts, where they came as text: for --log-prompts
  engine::Request request;         // for every prompt, without ids and on_event

  bool stream = false;
  bool include_usage = false;     // a last chunk with the usage
  bool continuous_usage = false;  // and the usage so far in every chunk
  bool return_token_ids = false;
  bool tokens_as_ids = false;  // logprobs call tokens "token_id:5"
  bool keep_stop = false;      // the stop string stays in the text
};

// A body as it came: JSON, the model's name, its endpoint's fields. What is wrong has a status of
// 400 to 499, unless it is our fault. `stop`, here and below: asked while texts are encoded.
std::variant<GenerationRequest, ApiError> read_generation(std::string_view body, bool chat,
                                                          const ServedModel& model,
                                                          engine::TimePoint deadline,
                                                          const text::Stop* stop = nullptr);

// Errors name the field. `deadline` is the request's own.
Result<GenerationRequest> parse_completion(const Json& body, const ServedModel& model,
                                           engine::TimePoint deadline, const text::Stop* stop);
Result<GenerationRequest> parse_chat(const Json& body, const ServedModel& model,
                                     engine::TimePoint deadline, const text::Stop* stop);

// What both have in common; `max_tokens_default` 0 = what remains of the context.
Status parse_common(Fields& fields, const ServedModel& model, int64_t max_tokens_default,
                    GenerationRequest& out);

// kInvalidArgument, naming `field`, where a prompt of so many tokens leaves no room in the context.
Status check_prompt(const ServedModel& model, size_t tokens, const std::string& field);

// The ids of a body with "messages": rendered by the model's template and encoded, and the text.
struct RenderedChat {
  std::string text;
  std::vector<int32_t> ids;
};
Result<RenderedChat> render_chat(const Json& body, const ServedModel& model,
                                 const text::Stop* stop);

}  // namespace continuo::server
