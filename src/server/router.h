// Which handler answers which method and path.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "server/app.h"
#include "server/exchange.h"

namespace continuo::server {

using Handler = asio::awaitable<void> (*)(App&, Exchange&);

struct Route {
  const char* method;
  const char* path;
  Handler handler;
  bool open = false;    // neither an API key nor a loaded model is asked for
  bool prefix = false;  // the path may go on

  bool posted() const { return std::string_view(method) == "POST"; }  // takes a JSON body
};
const std::vector<Route>& routes();

// The route, or what to answer instead: 404, 405 with the methods allowed, 401, 415, 503.
struct Routed {
  const Route* route = nullptr;
  std::optional<ApiError> error;
  std::string allow;  // with 405
};
Routed route(const App& app, const Exchange& exchange);

}  // namespace continuo::server
