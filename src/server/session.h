// A client's connection: reads its requests one after another and has each answered.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "server/app.h"
#include "server/connection.h"

namespace continuo::server {

// Runs until the client or the server ends the connection; does not throw. `app` outlives it.
boost::asio::awaitable<void> serve_connection(std::shared_ptr<Connection> connection, App& app);

}  // namespace continuo::server
