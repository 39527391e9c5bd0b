#include "server/server.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>
#include <set>
#include <thread>

#include "base/guard.h"
#include "server/app.h"
#include "server/log.h"
#include "server/session.h"

namespace continuo::server {

using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

// Members are destroyed in reverse order: what waits in the io context before what it uses.
struct Server::Impl {
  explicit Impl(ServerOptions given) : app(std::move(given)) {}

  App app;
  std::set<Connection*> connections;  // owned by their coroutines; io thread
  asio::io_context io{1};
  tcp::acceptor acceptor{io};
  std::thread thread;

  Status listen();
  Status read_certificate();
  Status check(const tcp::endpoint& endpoint) const;
  asio::awaitable<void> accept();
  asio::awaitable<void> serve(tcp::socket socket, Intake::Seat seat);
  void close_idle();
  int64_t exchanges();
};

Status Server::Impl::listen() {
  const std::string& host = app.options.host;
  CONTINUO_RETURN_IF_ERROR(read_certificate());
  error_code failure;
  const auto refused = [&](const char* what) {
    return error(ErrorCode::kUnavailable, "cannot {} {} port {}: {}", what, host, app.options.port,
                 failure.message());
  };
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(host, std::to_string(app.options.port), tcp::resolver::passive, failure);
  if (failure || found.empty()) return refused("find the address");
  const tcp::endpoint endpoint = found.begin()->endpoint();
  CONTINUO_RETURN_IF_ERROR(check(endpoint));
  CONTINUO_TRY(app.proxies, Networks::parse(app.options.trusted_proxies));
  acceptor.open(endpoint.protocol(), failure);
  if (!failure) acceptor.set_option(tcp::acceptor::reuse_address(true), failure);
  if (!failure) acceptor.bind(endpoint, failure);
  if (!failure) acceptor.listen(asio::socket_base::max_listen_connections, failure);
  if (failure) return refused("listen at");
  return ok_status();
}

Status Server::Impl::read_certificate() {
  const ServerOptions& options = app.options;
  if (!options.tls_certificate && !options.tls_key) return ok_status();
  if (!options.tls_certificate || !options.tls_key)
    return error(ErrorCode::kInvalidArgument,
                 "expected a certificate and its key for TLS, got the {} alone",
                 options.tls_certificate ? "certificate" : "key");
  auto context = TlsContext::load(*options.tls_certificate, *options.tls_key);
  if (!context.ok()) return with_context(std::move(context).error(), "TLS");
  app.tls = std::move(context).value();
  return ok_status();
}

// What would leave a server open that its user thinks is closed.
Status Server::Impl::check(const tcp::endpoint& endpoint) const {
  for (const std::string& key : app.options.api_keys) {
    const bool sendable =
        std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 127; });
    if (key.empty() || !sendable)
      return error(ErrorCode::kInvalidArgument,
                   "expected an API key of visible ASCII characters without spaces, got {}",
                   key.empty() ? "an empty one" : "other characters");
  }
  const bool open = app.options.api_keys.empty() && !app.options.insecure;
  if (open && !unmapped(endpoint.address()).is_loopback())
    return error(
        ErrorCode::kInvalidArgument,
        "expected an API key for the public address {}, got none: set $CONTINUO_API_KEY, or "
        "let everybody in with --insecure",
        endpoint.address().to_string());
  return ok_status();
}

asio::awaitable<void> Server::Impl::accept() {
  asio::steady_timer pause(io);
  while (acceptor.is_open()) {
    auto [failure, socket] = co_await acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
    if (failure == asio::error::operation_aborted) co_return;
    if (failure) {  // out of descriptors, say: those in use go on, new ones wait
      pause.expires_after(std::chrono::milliseconds(100));
      co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
      continue;
    }
    if (app.connections >= app.options.max_connections) continue;  // closes it
    error_code ignored;
    const Address peer = socket.remote_endpoint(ignored).address();
    auto seat = app.intake.connect(client_key(peer, app.proxies));
    if (!seat) continue;
    asio::co_spawn(io, serve(std::move(socket), std::move(seat)), asio::detached);
  }
}

asio::awaitable<void> Server::Impl::serve(tcp::socket socket, [[maybe_unused]] Intake::Seat seat) {
  auto connection = std::make_shared<Connection>(std::move(socket), app.options.write_timeout,
                                                 app.tls ? &*app.tls : nullptr);
  connections.insert(connection.get());
  co_await serve_connection(connection, app);
  connections.erase(connection.get());
}

void Server::Impl::close_idle() {
  for (Connection* connection : connections) connection->close_if_idle();
}

int64_t Server::Impl::exchanges() {
  std::promise<int64_t> count;
  asio::post(io, [&] { count.set_value(app.exchanges); });
  return count.get_future().get();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { stop(); }

void Server::stop() {
  impl_->io.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
  impl_->app.workers.stop();
  impl_->app.backend = nullptr;  // suspended answers ask it for nothing when they are destroyed
}

Result<std::unique_ptr<Server>> Server::listen(ServerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  CONTINUO_RETURN_IF_ERROR(impl->listen());
  asio::co_spawn(impl->io, impl->accept(), asio::detached);
  impl->thread = std::thread([raw = impl.get()] {
    // run() returns when it is stopped. What a handler throws (no memory) is that handler's end.
    while (!raw->io.stopped()) {
      const Status ran = guarded([&]() -> Status {
        raw->io.run();
        return ok_status();
      });
      if (!ran.ok()) log(spdlog::level::err, "handler", {{"error", ran.error().message}});
    }
  });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::string Server::address() const {
  error_code ignored;
  const tcp::endpoint local = impl_->acceptor.local_endpoint(ignored);
  const std::string host = local.address().to_string();
  return local.address().is_v6() ? fmt::format("[{}]:{}", host, local.port())
                                 : fmt::format("{}:{}", host, local.port());
}

std::string Server::url() const { return (impl_->app.tls ? "https://" : "http://") + address(); }

void Server::watch(engine::EngineOptions& options) {
  App& app = impl_->app;
  options.on_progress = [&app, also = std::move(options.on_progress)](const std::string& stage,
                                                                      int64_t done, int64_t total) {
    app.lifecycle.progress(stage, done, total);
    if (also) also(stage, done, total);
  };
  options.on_step = [&app](const engine::EngineOptions::StepRecord& record) {
    app.metrics.step(record);
    (record.prefill ? app.prompted : app.generated).add(record.tokens, Clock::now());
  };
}

void Server::ready(ServedModel model, Backend& backend) {
  std::promise<void> done;
  asio::post(impl_->io, [&] {
    impl_->app.model.emplace(std::move(model));
    impl_->app.backend = &backend;
    impl_->app.lifecycle.enter(Phase::kReady);
    done.set_value();
  });
  done.get_future().wait();
}

bool Server::drain(engine::TimePoint limit) {
  App& app = impl_->app;
  const bool loaded = app.lifecycle.phase() != Phase::kLoading;
  app.lifecycle.enter(Phase::kDraining);
  asio::post(impl_->io, [this] { impl_->close_idle(); });
  const bool finished = !loaded || app.backend->drain(limit);
  // The last answers are still being written, to clients that take their time perhaps.
  const auto last = std::max(Clock::now() + std::chrono::milliseconds(500), limit);
  while (impl_->exchanges() > 0 && Clock::now() < last)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return finished;
}

}  // namespace continuo::server
