#include "server/http_parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace continuo::server {
namespace {

bool plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

error_code parse_some(Parser& parser, boost::beast::flat_buffer& buffer) {
  if (buffer.size() == 0) return http::error::need_more;
  // Beast asserts that a last chunk, "0\r\n\r\n", which it leaves in the buffer, comes whole.
  const bool may_be_last =
      buffer.size() < 5 && *static_cast<const char*>(buffer.data().data()) == '0';
  if (parser.is_header_done() && parser.chunked() && may_be_last) return http::error::need_more;
  error_code failure;
  buffer.consume(parser.put(buffer.data(), failure));
  return failure;
}

error_code parse_end(Parser& parser) {
  if (!parser.got_some()) return http::error::end_of_stream;
  error_code failure;
  parser.put_eof(failure);
  return failure;
}

void offer_room(Parser& parser, char* piece, size_t room) {
  auto& target = parser.get().body();
  target.data = piece;
  target.size = room;
  target.more = true;
}

size_t room_left(const Parser& parser) { return parser.get().body().size; }

bool names_one_host(const HttpRequest& request) {
  const size_t count = request.count(http::field::host);
  return count == 1 ? !request[http::field::host].empty() : count == 0 && request.version() < 11;
}

std::string path_of(std::string_view target) {
  if (target.starts_with("http://") || target.starts_with("https://")) {
    const size_t slash = target.find('/', target.find("//") + 2);
    target = slash == target.npos ? std::string_view("/") : target.substr(slash);
  }
  return std::string(target.substr(0, target.find_first_of("?#")));
}

std::string request_id(std::string_view given) {
  if (!given.empty() && given.size() <= 128 && std::all_of(given.begin(), given.end(), plain))
    return std::string(given);
  static thread_local std::mt19937_64 random{std::random_device{}()};
  return fmt::format("{:016x}{:016x}", random(), random());
}

}  // namespace continuo::server
