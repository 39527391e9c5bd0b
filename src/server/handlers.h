// The endpoints. Each answers its exchange, or throws what Connection::write throws.
#pragma once

#include "server/app.h"
#include "server/exchange.h"

namespace continuo::server {

asio::awaitable<void> chat_completions(App& app, Exchange& exchange);
asio::awaitable<void> completions(App& app, Exchange& exchange);
asio::awaitable<void> tokenize(App& app, Exchange& exchange);
asio::awaitable<void> detokenize(App& app, Exchange& exchange);
asio::awaitable<void> models(App& app, Exchange& exchange);
asio::awaitable<void> one_model(App& app, Exchange& exchange);
asio::awaitable<void> health(App& app, Exchange& exchange);
asio::awaitable<void> live(App& app, Exchange& exchange);
asio::awaitable<void> metrics(App& app, Exchange& exchange);
asio::awaitable<void> slots(App& app, Exchange& exchange);
asio::awaitable<void> version(App& app, Exchange& exchange);
asio::awaitable<void> asset(App& app, Exchange& exchange);

// What a request that needs the model is told while there is none, or none any more.
std::optional<ApiError> unavailable(const App& app);
// What it is told where too many wait to be parsed.
ApiError busy();

}  // namespace continuo::server
