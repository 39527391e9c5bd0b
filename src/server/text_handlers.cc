// /tokenize and /detokenize, on a worker.
#include <string>

#include "server/on_worker.h"
#include "server/owned_json.h"
#include "server/tokenize.h"

namespace continuo::server {
namespace {

using Answerer = std::variant<Json, ApiError> (*)(std::string_view body, const ServedModel& model,
                                                  const text::Stop* stop);

asio::awaitable<void> answer(App& app, Exchange& exchange, Answerer answerer) {
  const size_t bytes = exchange.request().body().size();
  // Written there as well: a million ids take longer than others should wait for the io thread.
  auto work = [model = &*app.model, body = exchange.take_body(),
               answerer](const text::Stop& stop) -> std::variant<std::string, ApiError> {
    auto answer = answerer(body, *model, &stop);
    if (auto* wrong = std::get_if<ApiError>(&answer)) return std::move(*wrong);
    const OwnedJson owned(std::get<Json>(std::move(answer)));
    return dump(*owned) + "\n";
  };
  auto run = on_worker<std::string>(app, exchange, bytes, std::move(work));
  std::optional<std::string> text = co_await std::move(run);
  if (!text) co_return;
  std::string type = "application/json";
  co_await exchange.respond(200, std::move(type), std::move(*text));
}

}  // namespace

asio::awaitable<void> tokenize(App& app, Exchange& exchange) {
  co_await answer(app, exchange, answer_tokenize);
}

asio::awaitable<void> detokenize(App& app, Exchange& exchange) {
  co_await answer(app, exchange, answer_detokenize);
}

}  // namespace continuo::server
