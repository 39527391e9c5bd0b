#include "server/exchange.h"

#include <fmt/format.h>

#include <boost/beast/http/status.hpp>

#include "server/owned_json.h"

namespace continuo::server {
namespace {

// What a page of `origin` may be told; "" = nothing.
std::string allowed_origin(const std::vector<std::string>& allowed, const std::string& origin) {
  for (const std::string& each : allowed) {
    if (each == "*") return "*";
    if (!origin.empty() && each == origin) return origin;
  }
  return "";
}

}  // namespace

Exchange::Exchange(Connection& connection, const ServerOptions& options, HttpRequest request)
    : connection_(connection),
      options_(options),
      request_(std::move(request)),
      method_(request_.method_string()),
      path_(path_of({request_.target().data(), request_.target().size()})),
      id_(request_id(header("X-Request-Id"))),
      keep_alive_(request_.keep_alive()),
      chunked_(request_.version() >= 11) {}

std::string Exchange::header(const char* name) const {
  const auto found = request_.find(name);
  if (found == request_.end()) return "";
  return std::string(found->value().data(), found->value().size());
}

std::string Exchange::head(int status, const Headers& headers) {
  status_ = status;
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  std::string out = fmt::format("HTTP/1.{} {} {}\r\n", chunked_ ? 1 : 0, status,
                                std::string_view(reason.data(), reason.size()));
  const auto add = [&out](std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
  };
  add("Server", "continuo");
  add("X-Request-Id", id_);
  add("X-Content-Type-Options", "nosniff");
  if (!options_.cors_origins.empty()) {
    if (const auto origin = allowed_origin(options_.cors_origins, header("Origin"));
        !origin.empty()) {
      add("Access-Control-Allow-Origin", origin);
      add("Access-Control-Expose-Headers", "X-Request-Id, Retry-After");
    }
    add("Vary", "Origin");
  }
  for (const auto& [name, value] : headers) add(name, value);
  add("Connection", keep_alive_ ? "keep-alive" : "close");
  return out;
}

asio::awaitable<void> Exchange::respond(int status, std::string type, std::string body,
                                        Headers headers) {
  if (!type.empty()) headers.emplace_back("Content-Type", type);
  const bool no_body = status == 204 || status == 304;
  if (!no_body) headers.emplace_back("Content-Length", std::to_string(body.size()));
  std::string text = head(status, headers) + "\r\n";
  if (method_ != "HEAD" && !no_body) text += body;
  co_await connection_.write(std::move(text));
}

asio::awaitable<void> Exchange::respond(int status, Json body) {
  const OwnedJson owned(std::move(body));
  std::string text = dump(*owned) + "\n";
  co_await respond(status, "application/json", std::move(text));
}

asio::awaitable<void> Exchange::respond(ApiError error) {
  Headers headers;
  if (error.retry_after_s > 0)
    headers.emplace_back("Retry-After", std::to_string(error.retry_after_s));
  if (error.status == 401) headers.emplace_back("WWW-Authenticate", "Bearer");
  if (!notes.contains("error")) notes["error"] = error.code.empty() ? error.param : error.code;
  std::string text = dump(to_json(error)) + "\n";
  co_await respond(error.status, "application/json", std::move(text), std::move(headers));
}

asio::awaitable<void> Exchange::begin_events() {
  if (!chunked_) keep_alive_ = false;  // HTTP/1.0: the end of the connection ends the answer
  Headers headers;
  headers.emplace_back("Content-Type", "text/event-stream; charset=utf-8");
  headers.emplace_back("Cache-Control", "no-cache");
  headers.emplace_back("X-Accel-Buffering", "no");  // nginx: pass events on as they come
  if (chunked_) headers.emplace_back("Transfer-Encoding", "chunked");
  std::string text = head(200, headers) + "\r\n";
  co_await connection_.write(std::move(text));
}

asio::awaitable<void> Exchange::send(std::string text) {
  if (chunked_) text = fmt::format("{:x}\r\n{}\r\n", text.size(), text);
  co_await connection_.write(std::move(text));
}

asio::awaitable<void> Exchange::finish_events() {
  std::string end = chunked_ ? "0\r\n\r\n" : "";
  co_await connection_.write(std::move(end));
}

}  // namespace continuo::server
