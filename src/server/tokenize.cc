#include "server/tokenize.h"

#include "server/fields.h"
#include "server/generation_request.h"
#include "server/owned_json.h"

namespace continuo::server {
namespace {

Result<std::vector<int32_t>> tokens_of(const Json& body, const ServedModel& model,
                                       const text::Stop* stop) {
  if (body.contains("messages")) {
    CONTINUO_TRY(RenderedChat chat, render_chat(body, model, stop));
    return std::move(chat.ids);
  }
  Fields fields(body);
  const auto prompt = fields.string("prompt");
  const bool add_special = fields.boolean("add_special_tokens").value_or(true);
  if (!prompt && fields.ok()) fields.fail("prompt", "a string, or messages", Json());
  CONTINUO_RETURN_IF_ERROR(fields.status());
  CONTINUO_TRY(const text::Tokenizer* tokenizer, tokenizer_of(model, "prompt"));
  CONTINUO_RETURN_IF_ERROR(check_text(model, prompt->size(), "prompt"));
  return tokenizer->encode(*prompt, {.add_special = add_special, .stop = stop});
}

Result<Json> tokenized(const Json& body, const ServedModel& model, const text::Stop* stop) {
  Fields fields(body);
  const bool with_strings = fields.boolean("return_token_strs").value_or(false);
  CONTINUO_RETURN_IF_ERROR(fields.status());
  CONTINUO_TRY(const std::vector<int32_t> ids, tokens_of(body, model, stop));
  Json strings;
  if (with_strings) {
    strings = Json::array();
    for (const int32_t id : ids) strings.push_back(model.tokenizer->token(id).value_or(""));
  }
  return Json{{"count", ids.size()},
              {"max_model_len", model.context},
              {"tokens", ids},
              {"token_strs", std::move(strings)}};
}

Result<Json> detokenized(const Json& body, const ServedModel& model, const text::Stop*) {
  CONTINUO_TRY(const text::Tokenizer* tokenizer, tokenizer_of(model, "tokens"));
  Fields fields(body);
  const auto ids = fields.token_ids("tokens", model.vocab);
  if (!ids && fields.ok()) fields.fail("tokens", "a list of token ids", Json());
  CONTINUO_RETURN_IF_ERROR(fields.status());
  CONTINUO_TRY(std::string text, tokenizer->decode(*ids, false));
  return Json{{"prompt", std::move(text)}};
}

using Answerer = Result<Json> (*)(const Json&, const ServedModel&, const text::Stop*);

std::variant<Json, ApiError> answer(std::string_view body, const ServedModel& model,
                                    const text::Stop* stop, Answerer answerer) {
  const auto json = parse_body(body);
  if (!json.ok()) return api_error(json.error());
  if (auto wrong = check_model_name(model, **json)) return std::move(*wrong);
  auto given = answerer(**json, model, stop);
  if (!given.ok()) return api_error(given.error());
  return std::move(given).value();
}

}  // namespace

std::variant<Json, ApiError> answer_tokenize(std::string_view body, const ServedModel& model,
                                             const text::Stop* stop) {
  return answer(body, model, stop, tokenized);
}

std::variant<Json, ApiError> answer_detokenize(std::string_view body, const ServedModel& model,
                                               const text::Stop* stop) {
  return answer(body, model, stop, detokenized);
}

}  // namespace continuo::server
