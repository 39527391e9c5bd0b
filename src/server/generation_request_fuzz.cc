// libFuzzer: bodies of the POST endpoints, from bytes to what the engine is asked. The first byte
// chooses the endpoint ('0' chat, '1' completion, '2' tokenize, '3' detokenize) of a model with
// text, or ('4' to '7') of one with token ids only; the rest is the body.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "server/generation_request.h"
#include "server/served_model_test.h"
#include "server/tokenize.h"

namespace continuo::server {
namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// Templates use what a request brings in the ways that models' own do.
constexpr const char* kTemplate =
    "{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}"
    "{% for m in messages %}<{{ m.role }}>{{ m['content'] | trim }}"
    "{% for call in m.tool_calls or [] %}{{ call.function.arguments | tojson }}{% endfor %}"
    "{% if m.role == 'nobody' %}{{ raise_exception('nobody speaks') }}{% endif %}\n{% endfor %}"
    "{% if enable_thinking %}{{ reasoning_effort }}{% endif %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

// What a client sent wrongly is its fault, and can be said.
void check_error(const ApiError& error) {
  require(error.status >= 400 && error.status < 500, "an error's status is 4xx");
  require(!error.message.empty(), "an error says what is wrong");
  require(Json::accept(dump(to_json(error))), "an error is JSON");
}

// What the engine relies on, and what bounds its work.
void check_request(const GenerationRequest& out, const ServedModel& model) {
  require(!out.prompts.empty(), "there is a prompt");
  for (const auto& prompt : out.prompts) {
    require(!prompt.empty(), "a prompt has a token");
    require(static_cast<int64_t>(prompt.size()) < model.context, "a prompt leaves room");
    for (const int32_t id : prompt) require(id >= 0 && id < model.vocab, "ids are tokens");
  }
  const engine::Request& request = out.request;
  require(request.max_tokens >= 1 && request.max_tokens <= model.context, "max_tokens");
  require(request.choices >= 1 && request.choices <= model.slots, "n");
  require(request.top_logprobs >= -1 && request.top_logprobs <= 20, "logprobs");
  require(engine::check(request.sampling, model.vocab).ok(), "sampling is in range");
  for (const int32_t id : request.stop_ids) require(id >= 0 && id < model.vocab, "stop ids");
  for (const std::string& stop : request.stops) require(!stop.empty(), "stops are not empty");
  require(request.stops.empty() || model.tokenizer, "stops need text");
}

void check_json(const std::variant<Json, ApiError>& answer) {
  if (const auto* error = std::get_if<ApiError>(&answer))
    check_error(*error);
  else
    require(Json::accept(dump(std::get<Json>(answer))), "an answer is JSON");
}

void generate(std::string_view body, bool chat, const ServedModel& model) {
  const auto read = read_generation(body, chat, model, engine::TimePoint::max());
  if (const auto* error = std::get_if<ApiError>(&read))
    check_error(*error);
  else
    check_request(std::get<GenerationRequest>(read), model);
}

}  // namespace
}  // namespace continuo::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace continuo::server;
  static const ServedModel text = text_model(kTemplate), ids = ids_model();
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const ServedModel& model = (data[0] & 4) == 0 ? text : ids;
  switch (data[0] & 3) {
    case 0:
    case 1:
      generate(body, (data[0] & 1) == 0, model);
      break;
    case 2:
      check_json(answer_tokenize(body, model));
      break;
    default:
      check_json(answer_detokenize(body, model));
  }
  return 0;
}
