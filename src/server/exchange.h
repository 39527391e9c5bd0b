// Exchange: one HTTP request and its response, whole or as server-sent events.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/api_error.h"
#include "server/connection.h"
#include "server/http_parse.h"
#include "server/intake.h"
#include "server/options.h"

namespace continuo::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

// Owned by its session; io thread only. Writing throws as Connection::write does.
class Exchange {
 public:
  Exchange(Connection& connection, const ServerOptions& options, HttpRequest request);

  const HttpRequest& request() const { return request_; }
  std::string header(const char* name) const;  // "" where absent
  const std::string& method() const { return method_; }
  const std::string& path() const { return path_; }  // without host and query
  const std::string& id() const { return id_; }      // the client's X-Request-Id, or a new one
  std::chrono::steady_clock::time_point arrived() const { return arrived_; }
  Connection& connection() { return connection_; }
  std::string take_body() { return std::move(request_.body()); }
  void put_body(std::string body) { request_.body() = std::move(body); }
  Intake::Reservation held;  // for the body: released by who has done with it

  asio::awaitable<void> respond(int status, std::string type, std::string body,
                                Headers headers = {});
  asio::awaitable<void> respond(int status, Json body);
  asio::awaitable<void> respond(ApiError error);

  // server-sent events: begin, send(event text) as often as wanted, finish.
  asio::awaitable<void> begin_events();
  asio::awaitable<void> send(std::string text);
  asio::awaitable<void> finish_events();

  bool begun() const { return status_ != 0; }
  int status() const { return status_; }   // 0 until a response begins
  void hang_up() { keep_alive_ = false; }  // close the connection after this exchange
  bool keep_alive() const { return keep_alive_; }

  // For the log line of this exchange: figures that its handler knows.
  Json notes = Json::object();

 private:
  std::string head(int status, const Headers& headers);

  Connection& connection_;
  const ServerOptions& options_;
  HttpRequest request_;
  std::string method_, path_, id_;
  std::chrono::steady_clock::time_point arrived_ = std::chrono::steady_clock::now();
  int status_ = 0;
  bool keep_alive_ = true, chunked_ = true;
};

}  // namespace continuo::server
