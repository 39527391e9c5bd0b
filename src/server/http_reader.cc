#include "server/http_reader.h"

namespace continuo::server {
namespace {

asio::awaitable<error_code> read_on(Connection& connection, Parser& parser) {
  error_code failure = parse_some(parser, connection.buffer());
  while (failure == http::error::need_more) {
    const error_code lost = co_await connection.fill();
    if (lost == asio::error::eof) co_return parse_end(parser);
    if (lost) co_return lost;
    failure = parse_some(parser, connection.buffer());
  }
  co_return failure;
}

}  // namespace

asio::awaitable<error_code> read_head(Connection& connection, Parser& parser) {
  error_code failure;
  while (!failure && !parser.is_header_done()) failure = co_await read_on(connection, parser);
  co_return failure;
}

asio::awaitable<error_code> read_body(Connection& connection, Parser& parser, char* piece,
                                      size_t& size) {
  const size_t room = size;
  offer_room(parser, piece, room);
  const error_code failure = co_await read_on(connection, parser);
  size = room - room_left(parser);
  co_return failure == http::error::need_buffer ? error_code() : failure;
}

}  // namespace continuo::server
