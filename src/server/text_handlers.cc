// /tokenize and /detokenize, on a worker.
#include <string>

#include "server/handlers.h"
#include "server/tokenize.h"

namespace continuo::server {
namespace {

using Outcome = std::variant<Json, ApiError>;
using Answerer = Outcome (*)(std::string_view body, const ServedModel& model);

asio::awaitable<Outcome> work(const ServedModel* model, std::string body, Answerer answerer) {
  co_return answerer(body, *model);
}

asio::awaitable<void> answer(App& app, Exchange& exchange, Answerer answerer) {
  const size_t bytes = exchange.request().body().size();
  auto task = work(&*app.model, exchange.take_body(), answerer);
  auto outcome = co_await app.workers.run(bytes, std::move(task));
  exchange.held.release();
  if (!outcome)
    co_await exchange.respond(busy());
  else if (auto* wrong = std::get_if<ApiError>(&*outcome))
    co_await exchange.respond(std::move(*wrong));
  else
    co_await exchange.respond(200, std::get<Json>(std::move(*outcome)));
}

}  // namespace

asio::awaitable<void> tokenize(App& app, Exchange& exchange) {
  co_await answer(app, exchange, answer_tokenize);
}

asio::awaitable<void> detokenize(App& app, Exchange& exchange) {
  co_await answer(app, exchange, answer_detokenize);
}

}  // namespace continuo::server
