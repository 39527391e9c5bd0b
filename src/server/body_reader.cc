#include "server/body_reader.h"

#include <algorithm>
#include <vector>

#include "server/deadline.h"
#include "server/http_reader.h"

namespace continuo::server {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kPiece = 16 << 10;
constexpr uint64_t kLeast = 4 << 10;  // so that thousands of silent clients reserve little

}  // namespace

BodyReader::BodyReader(Exchange& exchange, Parser& parser, const ServerOptions& options,
                       Deadline deadline)
    : exchange_(exchange),
      parser_(parser),
      options_(options),
      deadline_(deadline),
      begun_(Clock::now()),
      most_(parser.content_length().value_or(options.max_body_bytes)) {
  parser_.eager(true);
}

asio::awaitable<error_code> BodyReader::read(std::optional<ApiError>& wrong) {
  std::vector<char> piece(complete() ? 0 : kPiece);
  while (!complete()) {
    size_t size = kPiece;
    const auto ended = co_await before(
        next_deadline(), read_body(exchange_.connection(), parser_, piece.data(), size));
    const error_code failure = ended.value_or(error_code(asio::error::timed_out));
    if (failure) co_return failure;
    if (!make_room(size, wrong)) co_return error_code(asio::error::no_buffer_space);
    body_.append(piece.data(), size);
  }
  co_return error_code();
}

bool BodyReader::make_room(size_t size, std::optional<ApiError>& wrong) {
  const uint64_t wanted = body_.size() + size;
  if (wanted <= exchange_.held.bytes()) return true;
  // Grows as a string does, but never beyond what the client has announced.
  const uint64_t room =
      std::max(wanted, std::min(most_, std::max(kLeast, 2 * exchange_.held.bytes())));
  switch (exchange_.held.grow_to(room)) {
    case Intake::Room::kYes:
      body_.reserve(room);
      return true;
    case Intake::Room::kNone:
      wrong = ApiError{503, "The server is reading too many large requests.", "busy", "", 1};
      return false;
    case Intake::Room::kNoneForAddress:
      wrong = ApiError{429,
                       fmt::format("Requests of one address may hold {} bytes at once.",
                                   options_.max_address_bytes),
                       "too_many_bytes", "", 1};
      return false;
  }
  return false;
}

// What has come buys time: a body's rate is measured from the end of its grace.
Deadline BodyReader::next_deadline() const {
  if (options_.min_body_rate == 0) return deadline_;
  const std::chrono::duration<double> earned(static_cast<double>(body_.size()) /
                                             static_cast<double>(options_.min_body_rate));
  return std::min(deadline_, begun_ + options_.body_grace +
                                 std::chrono::duration_cast<Clock::duration>(earned));
}

}  // namespace continuo::server
