// on_worker: what a handler has a worker do for it while its client waits.
#pragma once

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <exception>
#include <optional>
#include <utility>
#include <variant>

#include "server/handlers.h"

namespace continuo::server {

template <typename T>
struct OnWorker {
  std::optional<std::variant<T, ApiError>> result;  // nothing where too many wait
  std::exception_ptr thrown;
};

// Never throws, so that it always wins against the watch of the connection.
template <typename T, typename Work>
asio::awaitable<OnWorker<T>> guarded_run(Workers& workers, size_t bytes, Workers::Time deadline,
                                         Work work) {
  OnWorker<T> out;
  try {
    auto run = workers.run(bytes, deadline, std::move(work));
    out.result = co_await std::move(run);
  } catch (...) {
    out.thrown = std::current_exception();
  }
  co_return out;
}

// `work(stop)` gives a T or what is wrong; `bytes`: of the body that it reads. Nothing where the
// exchange is over: it has been answered, or the client has gone and `work` ends unheard.
template <typename T, typename Work>
asio::awaitable<std::optional<T>> on_worker(App& app, Exchange& exchange, size_t bytes, Work work) {
  using namespace asio::experimental::awaitable_operators;
  const auto limit = app.options.request_timeout;
  const Workers::Time deadline =
      limit.count() > 0 ? exchange.arrived() + limit : Workers::Time::max();
  auto run = guarded_run<T>(app.workers, bytes, deadline, std::move(work));
  auto gone = exchange.connection().disconnected();
  auto first = co_await (std::move(run) || std::move(gone));
  exchange.held.release();
  if (first.index() == 1) {
    exchange.notes["error"] = "client_disconnected";
    exchange.hang_up();
    co_return std::nullopt;
  }
  OnWorker<T>& out = std::get<0>(first);
  if (out.thrown) std::rethrow_exception(out.thrown);
  ApiError wrong;
  if (!out.result) {
    wrong = busy();
  } else if (auto* value = std::get_if<T>(&*out.result)) {
    co_return std::move(*value);
  } else if (std::chrono::steady_clock::now() >= deadline) {
    wrong = {503, "Reading the request took longer than a request may take.", "deadline_exceeded",
             "", 5};
  } else {
    wrong = std::get<ApiError>(std::move(*out.result));
  }
  exchange.notes["error"] = wrong.code;
  co_await exchange.respond(std::move(wrong));
  co_return std::nullopt;
}

}  // namespace continuo::server
