// TLS of the server's connections: OpenSSL over a socket that never blocks.
#pragma once

#include <openssl/types.h>

#include <boost/asio/ip/tcp.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace continuo::server {

// The certificate that the server shows and its key. Immutable; any thread.
class TlsContext {
 public:
  // Both are PEM files; the first may hold the certificates of its issuers after its own. The error
  // names the file that cannot be used and says why.
  static Result<TlsContext> load(const std::string& certificate_file, const std::string& key_file);

  SSL_CTX* get() const { return context_.get(); }

 private:
  explicit TlsContext(std::shared_ptr<SSL_CTX> context) : context_(std::move(context)) {}
  std::shared_ptr<SSL_CTX> context_;
};

// What one attempt to read or write came to.
struct Transfer {
  size_t count = 0;
  boost::system::error_code failure;  // would_block: try again once the socket is ready for `wait`
  boost::asio::ip::tcp::socket::wait_type wait = boost::asio::ip::tcp::socket::wait_read;
};

// One connection's side of TLS. Does not own the socket; io thread only. The process must ignore
// SIGPIPE, as `serve` does: OpenSSL writes to sockets as to files.
class TlsStream {
 public:
  TlsStream(const TlsContext& context, int socket);

  Transfer handshake();
  Transfer read(char* data, size_t size);
  // What would block must be tried again with the same bytes.
  Transfer write(std::string_view data);
  bool has_unread() const;  // decrypted already, so that the socket will not announce it
  bool got_plain_http() const { return got_plain_http_; }
  // The handshake's failure in OpenSSL's words; "" where it has not failed by itself.
  const std::string& reason() const { return reason_; }
  void close();  // tells the client that nothing more comes

 private:
  Transfer result(int returned, size_t count, boost::asio::ip::tcp::socket::wait_type usual);

  std::shared_ptr<SSL> ssl_;
  bool got_plain_http_ = false, usable_ = false;
  std::string reason_;
};

}  // namespace continuo::server
