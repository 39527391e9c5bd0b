// Reads requests as HTTP: Beast parses what a connection's buffer holds.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "server/connection.h"
#include "server/http_parse.h"

namespace continuo::server {

// Both read on for as long as the parser wants more. io thread; what they are given outlives them.
asio::awaitable<error_code> read_head(Connection& connection, Parser& parser);
// The next bytes of the body into `piece`. `size` is how much room there is, then what came.
asio::awaitable<error_code> read_body(Connection& connection, Parser& parser, char* piece,
                                      size_t& size);

}  // namespace continuo::server
