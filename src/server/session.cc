#include "server/session.h"

#include <boost/system/system_error.hpp>

#include "server/body_reader.h"
#include "server/deadline.h"
#include "server/exchange.h"
#include "server/host_check.h"
#include "server/http_reader.h"
#include "server/log.h"
#include "server/router.h"
#include "server/share.h"

namespace continuo::server {
namespace {

using Clock = std::chrono::steady_clock;

ApiError read_error(const error_code& failure, const ServerOptions& options) {
  if (failure == http::error::header_limit)
    return {431,
            fmt::format("The request's head is longer than {} bytes.", options.max_header_bytes),
            "header_too_large"};
  if (failure == http::error::body_limit)
    return {413, fmt::format("The body is longer than {} bytes.", options.max_body_bytes),
            "body_too_large"};
  if (failure == asio::error::timed_out)
    return {408, "The request did not arrive in time.", "request_timeout"};
  return {400, "The request is no HTTP: " + failure.message(), "bad_http"};
}

// What a client has not sent cannot be answered; everything else can.
bool gone(const error_code& failure) {
  return failure.category() != http::make_error_code(http::error::bad_method).category()
             ? failure != asio::error::timed_out
             : failure == http::error::end_of_stream || failure == http::error::partial_message;
}

// Its value is read whatever its case (RFC 9110, 10.1.1).
bool awaits_100(const Exchange& exchange) {
  return boost::beast::iequals(exchange.header("Expect"), "100-continue");
}

// One request and its answer, seen from outside.
class Session {
 public:
  Session(Connection& connection, App& app) : connection_(connection), app_(app) {}

  asio::awaitable<void> run() {
    bool more = true;
    while (more) {  // GCC 12 crashes on a co_await in a loop's condition
      more = co_await connection_.wait_for_request(Clock::now() + app_.options.idle_timeout);
      if (more) more = co_await one();
    }
  }

 private:
  // Whether the connection can take another request.
  asio::awaitable<bool> one() {
    client_ = unmapped(connection_.remote());
    Parser parser;
    parser.header_limit(app_.options.max_header_bytes);
    parser.body_limit(app_.options.max_body_bytes);
    const Deadline deadline = Clock::now() + app_.options.read_timeout;
    const Deadline head_deadline = std::min(deadline, Clock::now() + app_.options.head_timeout);
    const auto failure = co_await before(head_deadline, read_head(connection_, parser));
    const error_code head = failure.value_or(error_code(asio::error::timed_out));
    if (head && gone(head)) co_return false;

    const Share<int64_t> busy(app_.exchanges, 1);
    if (head) {  // nothing that came can be relied on
      Exchange exchange(connection_, app_.options, HttpRequest());
      co_return co_await refuse(exchange, read_error(head, app_.options), "other");
    }
    Exchange exchange(connection_, app_.options, HttpRequest(parser.get().base()));
    if (!names_one_host(exchange.request())) {  // RFC 9112, 3.2
      ApiError wrong{400, "A request has one header Host.", "bad_http"};
      co_return co_await refuse(exchange, std::move(wrong), "other");
    }
    client_ =
        client_address(connection_.remote(), exchange.header("X-Forwarded-For"), app_.proxies);
    exchange.held = Intake::Reservation(app_.intake, client_key(client_, app_.proxies));
    Routed routed;
    routed.error = check_host(app_.options, exchange.request(), connection_.local());
    if (!routed.error) routed = route(app_, exchange);
    if (auto wrong = check_head(routed, parser))
      co_return co_await turn_away(exchange, std::move(*wrong), routed, parser, deadline);

    BodyReader body(exchange, parser, app_.options, deadline);
    if (auto ended = co_await take_body(exchange, body, routed)) co_return *ended;
    exchange.put_body(body.take());
    if (app_.lifecycle.phase() == Phase::kDraining) exchange.hang_up();
    co_await handle(exchange, routed);
    report(exchange, name_of(routed));
    if (app_.lifecycle.phase() == Phase::kDraining) co_return false;
    co_return exchange.keep_alive();
  }

  static std::string name_of(const Routed& routed) {
    return routed.route != nullptr ? routed.route->path : "other";
  }

  std::optional<ApiError> check_head(const Routed& routed, const Parser& parser) const {
    if (routed.error) return routed.error;
    if (routed.route->posted() && !parser.chunked() && !parser.content_length())
      return ApiError{411, "The request has no body: send Content-Length.", "length_required"};
    return std::nullopt;
  }

  // Reads the body, after telling a client that waits for it to go ahead. A value: it did not come,
  // was answered, and the connection can take no other request.
  asio::awaitable<std::optional<bool>> take_body(Exchange& exchange, BodyReader& body,
                                                 const Routed& routed) {
    if (!body.complete() && awaits_100(exchange))
      co_await connection_.write("HTTP/1.1 100 Continue\r\n\r\n");
    std::optional<ApiError> wrong;
    if (const error_code failure = co_await body.read(wrong); failure && !wrong) {
      if (gone(failure)) co_return false;
      wrong = read_error(failure, app_.options);
    }
    if (!wrong) co_return std::nullopt;
    co_return co_await refuse(exchange, std::move(*wrong), name_of(routed));
  }

  // An answer that needs no body. A small one is read all the same, so that the connection lives.
  asio::awaitable<bool> turn_away(Exchange& exchange, ApiError error, const Routed& routed,
                                  Parser& parser, Deadline deadline) {
    constexpr uint64_t kSmall = 64 << 10;
    const bool known = !parser.chunked() && parser.content_length().value_or(0) <= kSmall;
    if (!known || awaits_100(exchange))
      co_return co_await refuse(exchange, std::move(error), name_of(routed));
    BodyReader body(exchange, parser, app_.options, deadline);
    if (auto ended = co_await take_body(exchange, body, routed)) co_return *ended;
    if (preflight(exchange)) {
      Headers headers;
      headers.emplace_back("Access-Control-Allow-Methods", "GET, POST");
      headers.emplace_back("Access-Control-Allow-Headers",
                           "Authorization, Content-Type, X-Request-Id, X-Api-Key");
      headers.emplace_back("Access-Control-Max-Age", "600");
      co_await exchange.respond(204, std::string(), std::string(), std::move(headers));
    } else if (!routed.allow.empty() && error.status == 405) {
      Headers headers;
      headers.emplace_back("Allow", routed.allow);
      std::string text = dump(to_json(error)) + "\n", type = "application/json";
      co_await exchange.respond(405, std::move(type), std::move(text), std::move(headers));
    } else {
      co_await exchange.respond(std::move(error));
    }
    report(exchange, name_of(routed));
    co_return exchange.keep_alive();
  }

  bool preflight(const Exchange& exchange) const {
    return exchange.method() == "OPTIONS" && !app_.options.cors_origins.empty() &&
           !exchange.header("Access-Control-Request-Method").empty();
  }

  // Answers and ends the connection: what follows on it may be the rest of this request.
  asio::awaitable<bool> refuse(Exchange& exchange, ApiError error, std::string route_name) {
    exchange.hang_up();
    co_await exchange.respond(std::move(error));
    report(exchange, route_name);
    co_return false;
  }

  asio::awaitable<void> handle(Exchange& exchange, const Routed& routed) {
    std::string failure;
    try {
      co_await routed.route->handler(app_, exchange);
      co_return;
    } catch (const boost::system::system_error& lost) {  // the client is gone, or too slow
      exchange.notes["error"] =
          lost.code() == asio::error::timed_out ? "client_too_slow" : "client_disconnected";
      exchange.hang_up();
      co_return;
    } catch (const std::exception& bug) {  // a bug of ours, or no memory: this request's alone
      failure = bug.what();
    }
    exchange.notes["error"] = failure;
    exchange.hang_up();
    if (exchange.begun()) co_return;
    ApiError error{500, "The server failed: " + failure, "internal_error"};
    co_await exchange.respond(std::move(error));
  }

  void report(const Exchange& exchange, const std::string& route_name) {
    const int status = exchange.status() != 0 ? exchange.status() : 499;  // nginx: client gone
    app_.metrics.http(route_name, status);
    if (route_name.starts_with("/health") || route_name == "/metrics" || route_name == "/slots")
      return;
    Json fields = {
        {"id", exchange.id()},
        {"client",
         client_ == unmapped(connection_.remote()) ? connection_.peer() : client_.to_string()},
        {"method", exchange.method()},
        {"path", exchange.path().substr(0, 200)},
        {"status", status},
        {"seconds", std::chrono::duration<double>(Clock::now() - exchange.arrived()).count()}};
    fields.update(exchange.notes);
    log(status == 500 ? spdlog::level::err : spdlog::level::info, "request", fields);
  }

  Connection& connection_;
  App& app_;
  Address client_;  // of the request that is being answered
};

}  // namespace

asio::awaitable<void> serve_connection(std::shared_ptr<Connection> connection, App& app) {
  const Share<int64_t> open(app.connections, 1);
  try {
    const std::string refused =
        co_await connection->handshake(Clock::now() + app.options.head_timeout);
    if (refused.empty()) {
      Session session(*connection, app);
      co_await session.run();
    } else {
      log(spdlog::level::info, "handshake", {{"client", connection->peer()}, {"error", refused}});
    }
    co_await connection->close();
  } catch (const std::exception&) {  // the client went away while it was written to
  }
}

}  // namespace continuo::server
