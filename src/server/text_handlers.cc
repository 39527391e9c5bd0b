// /tokenize and /detokenize, on a worker.
#include <string>

#include "server/handlers.h"
#include "server/owned_json.h"
#include "server/tokenize.h"

namespace continuo::server {
namespace {

using Answerer = std::variant<Json, ApiError> (*)(std::string_view body, const ServedModel& model);
using Outcome = std::variant<std::string, ApiError>;

// Written here as well: a million ids take longer than others should wait for the io thread.
asio::awaitable<Outcome> work(const ServedModel* model, std::string body, Answerer answerer) {
  auto answer = answerer(body, *model);
  if (auto* wrong = std::get_if<ApiError>(&answer)) co_return std::move(*wrong);
  const OwnedJson owned(std::get<Json>(std::move(answer)));
  co_return dump(*owned) + "\n";
}

asio::awaitable<void> answer(App& app, Exchange& exchange, Answerer answerer) {
  const size_t bytes = exchange.request().body().size();
  auto task = work(&*app.model, exchange.take_body(), answerer);
  auto outcome = co_await app.workers.run(bytes, std::move(task));
  exchange.held.release();
  if (!outcome) {
    co_await exchange.respond(busy());
  } else if (auto* wrong = std::get_if<ApiError>(&*outcome)) {
    co_await exchange.respond(std::move(*wrong));
  } else {
    std::string text = std::get<std::string>(std::move(*outcome)), type = "application/json";
    co_await exchange.respond(200, std::move(type), std::move(text));
  }
}

}  // namespace

asio::awaitable<void> tokenize(App& app, Exchange& exchange) {
  co_await answer(app, exchange, answer_tokenize);
}

asio::awaitable<void> detokenize(App& app, Exchange& exchange) {
  co_await answer(app, exchange, answer_detokenize);
}

}  // namespace continuo::server
