#include "server/connection.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/system/system_error.hpp>

#include "server/deadline.h"

namespace continuo::server {
namespace {

constexpr size_t kReadAhead = 64 << 10;  // bytes of further requests kept during an answer
constexpr auto kLinger = std::chrono::seconds(2);
constexpr size_t kLingerBytes = 4 << 20;

using asio::ip::tcp;

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

Connection::Connection(tcp::socket socket, std::chrono::milliseconds write_timeout)
    : socket_(std::move(socket)), write_timeout_(write_timeout) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
  const tcp::endpoint remote = socket_.remote_endpoint(ignored);
  if (!ignored) peer_ = remote.address().to_string() + ":" + std::to_string(remote.port());
  if (!ignored) remote_ = remote.address();
  local_ = socket_.local_endpoint(ignored).address();
}

asio::awaitable<bool> Connection::wait_for_request(Deadline deadline) {
  if (buffer_.size() > 0) co_return true;
  idle_ = true;
  const auto failure = co_await before(deadline, ready(socket_, tcp::socket::wait_read));
  idle_ = false;
  if (!failure || *failure) co_return false;
  error_code ended;  // readable also means: at its end
  const size_t count = socket_.read_some(buffer_.prepare(kReadAhead), ended);
  buffer_.commit(count);
  co_return count > 0 || ended == asio::error::would_block;
}

asio::awaitable<void> Connection::write(std::string data) {
  std::string_view left = data;
  while (!left.empty()) {
    error_code failure;
    const size_t count = socket_.write_some(asio::buffer(left.data(), left.size()), failure);
    left.remove_prefix(count);
    if (failure == asio::error::would_block || failure == asio::error::try_again) {
      const Deadline deadline = std::chrono::steady_clock::now() + write_timeout_;
      const auto waited = co_await before(deadline, ready(socket_, tcp::socket::wait_write));
      failure = waited ? *waited : error_code(asio::error::timed_out);
    }
    if (failure) throw boost::system::system_error(failure);
  }
}

asio::awaitable<void> Connection::disconnected() {
  while (true) {
    if (const error_code failure = co_await ready(socket_, tcp::socket::wait_read)) co_return;
    if (buffer_.size() >= kReadAhead) {  // no place to read on to: go by errors alone
      co_await ready(socket_, tcp::socket::wait_error);
      co_return;
    }
    error_code failure;
    const size_t count = socket_.read_some(buffer_.prepare(4096), failure);
    buffer_.commit(count);
    const bool nothing = failure == asio::error::would_block || failure == asio::error::try_again;
    if (failure && !nothing) co_return;
  }
}

asio::awaitable<void> Connection::close() {
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  if (!ignored) co_await before(std::chrono::steady_clock::now() + kLinger, drop_input(socket_));
  socket_.close(ignored);
}

void Connection::close_if_idle() {
  error_code ignored;
  if (idle_) socket_.cancel(ignored);
}

}  // namespace continuo::server
