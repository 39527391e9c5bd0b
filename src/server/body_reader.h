// BodyReader: reads one request's body piece by piece, in memory that is reserved as bytes arrive.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>

#include "server/exchange.h"

namespace continuo::server {

// io thread only; all that it is given outlives it. `parser` has read the head.
class BodyReader {
 public:
  BodyReader(Exchange& exchange, Parser& parser, const ServerOptions& options, Deadline deadline);

  // Until the body's end. timed_out: it has not come by the deadline, or comes too slowly. `wrong`
  // is set where there is no room for it: what to answer.
  asio::awaitable<error_code> read(std::optional<ApiError>& wrong);
  bool complete() const { return parser_.is_done(); }
  std::string take() { return std::move(body_); }

 private:
  // Whether `size` more bytes have room; else `wrong` says why not.
  bool make_room(size_t size, std::optional<ApiError>& wrong);
  Deadline next_deadline() const;

  Exchange& exchange_;
  Parser& parser_;
  const ServerOptions& options_;
  const Deadline deadline_, begun_;
  const uint64_t most_;  // bytes that it may have
  std::string body_;
};

}  // namespace continuo::server
