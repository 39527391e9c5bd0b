// /tokenize and /detokenize, in vLLM's shapes.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "server/fields.h"
#include "server/generation_request.h"
#include "server/handlers.h"

namespace continuo::server {
namespace {

Result<std::vector<int32_t>> tokens_of(const Json& body, const ServedModel& model) {
  if (body.contains("messages")) {
    CONTINUO_TRY(RenderedChat chat, render_chat(body, model));
    return std::move(chat.ids);
  }
  Fields fields(body);
  const auto prompt = fields.string("prompt");
  const bool add_special = fields.boolean("add_special_tokens").value_or(true);
  if (!prompt && fields.ok()) fields.fail("prompt", "a string, or messages", Json());
  CONTINUO_RETURN_IF_ERROR(fields.status());
  CONTINUO_TRY(const text::Tokenizer* tokenizer, tokenizer_of(model, "prompt"));
  return tokenizer->encode(*prompt, {.add_special = add_special});
}

Result<Json> tokenized(const Json& body, const ServedModel& model) {
  Fields fields(body);
  const bool with_strings = fields.boolean("return_token_strs").value_or(false);
  CONTINUO_RETURN_IF_ERROR(fields.status());
  CONTINUO_TRY(const std::vector<int32_t> ids, tokens_of(body, model));
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

Result<Json> detokenized(const Json& body, const ServedModel& model) {
  CONTINUO_TRY(const text::Tokenizer* tokenizer, tokenizer_of(model, "tokens"));
  Fields fields(body);
  const auto ids = fields.token_ids("tokens", model.vocab);
  if (!ids && fields.ok()) fields.fail("tokens", "a list of token ids", Json());
  CONTINUO_RETURN_IF_ERROR(fields.status());
  CONTINUO_TRY(std::string text, tokenizer->decode(*ids, false));
  return Json{{"prompt", std::move(text)}};
}

using Answerer = Result<Json> (*)(const Json& body, const ServedModel& model);

asio::awaitable<std::variant<Json, ApiError>> work(const ServedModel* model, std::string body,
                                                   Answerer answerer) {
  const auto json = parse_body(body);
  if (!json.ok()) co_return api_error(json.error());
  if (auto wrong = check_model_name(*model, *json)) co_return std::move(*wrong);
  auto answer = answerer(*json, *model);
  if (!answer.ok()) co_return api_error(answer.error());
  co_return std::move(answer).value();
}

asio::awaitable<void> answer(App& app, Exchange& exchange, Answerer answerer) {
  auto task = work(&*app.model, exchange.take_body(), answerer);
  auto outcome = co_await asio::co_spawn(app.workers, std::move(task), asio::use_awaitable);
  if (auto* wrong = std::get_if<ApiError>(&outcome))
    co_await exchange.respond(std::move(*wrong));
  else
    co_await exchange.respond(200, std::get<Json>(std::move(outcome)));
}

}  // namespace

asio::awaitable<void> tokenize(App& app, Exchange& exchange) {
  co_await answer(app, exchange, tokenized);
}

asio::awaitable<void> detokenize(App& app, Exchange& exchange) {
  co_await answer(app, exchange, detokenized);
}

}  // namespace continuo::server
