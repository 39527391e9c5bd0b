#include "server/connection.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/system/system_error.hpp>

#include "server/deadline.h"

namespace continuo::server {
namespace {

constexpr size_t kReadAhead = 64 << 10;  // bytes of further requests kept during an answer
constexpr size_t kLeastRead = 4 << 10;
constexpr auto kLinger = std::chrono::seconds(2);
constexpr size_t kLingerBytes = 4 << 20;
constexpr std::string_view kNotTls =
    "HTTP/1.1 400 Bad Request\r\nServer: continuo\r\nContent-Type: text/plain\r\n"
    "Content-Length: 65\r\nConnection: close\r\n\r\n"
    "This port speaks HTTPS: the address must begin with \"https://\".\r\n";

using asio::ip::tcp;

bool would_block(const error_code& failure) {
  return failure == asio::error::would_block || failure == asio::error::try_again;
}

asio::awaitable<error_code> ready(tcp::socket& socket, tcp::socket::wait_type what) {
  const auto [failure] = co_await socket.async_wait(what, asio::as_tuple(asio::use_awaitable));
  co_return failure;
}

// Reads and drops what still comes, so that the last answer is not lost to a reset.
asio::awaitable<error_code> drop_input(tcp::socket& socket) {
  char bytes[4096];
  for (size_t dropped = 0; dropped < kLingerBytes;) {
    const auto [failure, count] =
        co_await socket.async_read_some(asio::buffer(bytes), asio::as_tuple(asio::use_awaitable));
    if (failure) co_return failure;
    dropped += count;
  }
  co_return error_code();
}

}  // namespace

Connection::Connection(tcp::socket socket, std::chrono::milliseconds write_timeout,
                       const TlsContext* tls)
    : socket_(std::move(socket)), write_timeout_(write_timeout) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
  const tcp::endpoint remote = socket_.remote_endpoint(ignored);
  if (!ignored) peer_ = remote.address().to_string() + ":" + std::to_string(remote.port());
  if (!ignored) remote_ = remote.address();
  local_ = socket_.local_endpoint(ignored).address();
  if (tls != nullptr) tls_.emplace(*tls, socket_.native_handle());
}

Transfer Connection::read_now(char* data, size_t size) {
  if (tls_) return tls_->read(data, size);
  Transfer out;
  out.count = socket_.read_some(asio::buffer(data, size), out.failure);
  return out;
}

Transfer Connection::write_now(std::string_view data) {
  if (tls_) return tls_->write(data);
  Transfer out{.wait = tcp::socket::wait_write};
  out.count = socket_.write_some(asio::buffer(data.data(), data.size()), out.failure);
  return out;
}

asio::awaitable<std::string> Connection::handshake(Deadline deadline) {
  if (!tls_) co_return "";
  idle_ = true;
  const auto ended = co_await before(deadline, agree());
  idle_ = false;
  if (!ended) co_return "it took too long";
  if (!*ended) co_return "";
  std::string reason = tls_->reason().empty() ? ended->message() : tls_->reason();
  if (tls_->got_plain_http()) {
    tls_.reset();
    co_await write(std::string(kNotTls));
  }
  co_return reason;
}

asio::awaitable<error_code> Connection::agree() {
  while (true) {
    const Transfer tried = tls_->handshake();
    if (!would_block(tried.failure)) co_return tried.failure;
    if (const error_code failure = co_await ready(socket_, tried.wait)) co_return failure;
  }
}

asio::awaitable<error_code> Connection::readable() {
  if (tls_ && tls_->has_unread()) co_return error_code();
  co_return co_await ready(socket_, tcp::socket::wait_read);
}

asio::awaitable<error_code> Connection::fill() {
  while (true) {
    const size_t size = kReadAhead - std::min(buffer_.size(), kReadAhead - kLeastRead);
    const Transfer got = read_now(static_cast<char*>(buffer_.prepare(size).data()), size);
    buffer_.commit(got.count);
    if (!would_block(got.failure)) co_return got.failure;
    if (const error_code failure = co_await ready(socket_, got.wait)) co_return failure;
  }
}

// An idle connection has no buffer.
asio::awaitable<error_code> Connection::next_bytes() {
  if (const error_code failure = co_await readable()) co_return failure;
  co_return co_await fill();
}

asio::awaitable<bool> Connection::wait_for_request(Deadline deadline) {
  if (buffer_.size() > 0) co_return true;
  idle_ = true;
  const auto failure = co_await before(deadline, next_bytes());
  idle_ = false;
  co_return failure && !*failure;
}

asio::awaitable<void> Connection::write(std::string data) {
  std::string_view left = data;
  while (!left.empty()) {
    auto [count, failure, wait] = write_now(left);
    left.remove_prefix(count);
    if (would_block(failure)) {
      const Deadline deadline = std::chrono::steady_clock::now() + write_timeout_;
      const auto waited = co_await before(deadline, ready(socket_, wait));
      failure = waited ? *waited : error_code(asio::error::timed_out);
    }
    if (failure) throw boost::system::system_error(failure);
  }
}

asio::awaitable<void> Connection::disconnected() {
  auto wait = tcp::socket::wait_read;
  while (true) {
    if (!tls_ || !tls_->has_unread()) {
      if (const error_code failure = co_await ready(socket_, wait)) co_return;
    }
    if (buffer_.size() >= kReadAhead) {  // no place to read on to: go by errors alone
      co_await ready(socket_, tcp::socket::wait_error);
      co_return;
    }
    const Transfer got =
        read_now(static_cast<char*>(buffer_.prepare(kLeastRead).data()), kLeastRead);
    buffer_.commit(got.count);
    if (got.failure && !would_block(got.failure)) co_return;
    wait = got.wait;
  }
}

asio::awaitable<void> Connection::close() {
  if (tls_) tls_->close();
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  if (!ignored) co_await before(std::chrono::steady_clock::now() + kLinger, drop_input(socket_));
  socket_.close(ignored);
}

// Says farewell at once: the server may stop before the wait that ends here goes on.
void Connection::close_if_idle() {
  if (!idle_) return;
  if (tls_) tls_->close();
  error_code ignored;
  socket_.cancel(ignored);
}

}  // namespace continuo::server
