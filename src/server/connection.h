// Connection: a client's socket, plain or under TLS, with deadlines and a watch for its going away.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "server/tls.h"

namespace continuo::server {

namespace asio = boost::asio;
using Deadline = std::chrono::steady_clock::time_point;
using boost::system::error_code;

// Owned by its session; io thread only.
class Connection {
 public:
  // Without `tls` it is plain.
  Connection(asio::ip::tcp::socket socket, std::chrono::milliseconds write_timeout,
             const TlsContext* tls = nullptr);

  // Agrees with the client on TLS, where there is any; before all else. "": they have agreed;
  // otherwise why not, and all that is left to do is to close.
  asio::awaitable<std::string> handshake(Deadline deadline);

  // Waits for the next byte of a request; false: the client is gone, silent until `deadline`, or
  // close_if_idle() came.
  asio::awaitable<bool> wait_for_request(Deadline deadline);
  // Reads more into the buffer, as soon as there is anything. eof: the client sends no more.
  asio::awaitable<error_code> fill();
  // All of `data`. Throws boost::system::system_error when the client is gone or has taken nothing
  // for the write timeout.
  asio::awaitable<void> write(std::string data);
  // Returns when the client has gone. Meanwhile bytes of its next requests are kept, up to a limit.
  asio::awaitable<void> disconnected();
  // Ends the connection such that the client can still read what was written.
  asio::awaitable<void> close();

  void close_if_idle();                                        // now if it waits for a request
  boost::beast::flat_buffer& buffer() { return buffer_; }      // read, not yet parsed
  const std::string& peer() const { return peer_; }            // "127.0.0.1:51234"
  const asio::ip::address& remote() const { return remote_; }  // unspecified where it is not known
  const asio::ip::address& local() const { return local_; }

 private:
  Transfer read_now(char* data, size_t size);
  Transfer write_now(std::string_view data);
  asio::awaitable<error_code> agree();
  asio::awaitable<error_code> next_bytes();
  asio::awaitable<error_code> readable();

  asio::ip::tcp::socket socket_;
  std::optional<TlsStream> tls_;
  boost::beast::flat_buffer buffer_;
  std::chrono::milliseconds write_timeout_;
  std::string peer_;
  asio::ip::address remote_, local_;
  bool idle_ = false;
};

}  // namespace continuo::server
