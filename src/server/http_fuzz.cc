// libFuzzer: what a connection brings, as the server reads it: requests one after another, each
// head with its host, origin and client, each body piece by piece. The first byte says how the
// bytes are cut; however they are, the same requests come out.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "server/client_address.h"
#include "server/host_check.h"
#include "server/http_parse.h"

namespace continuo::server {
namespace {

constexpr uint32_t kHeadLimit = 2 << 10;
constexpr uint64_t kBodyLimit = 8 << 10;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// A client that sends `bytes`, `step` at a time, and then no more.
class Wire {
 public:
  Wire(std::string_view bytes, size_t step) : left_(bytes), step_(step) {}

  error_code parse(Parser& parser) {
    error_code failure = parse_some(parser, buffer_);
    while (failure == http::error::need_more) {
      if (left_.empty()) return parse_end(parser);
      const std::string_view next = left_.substr(0, step_);
      left_.remove_prefix(next.size());
      const auto space = buffer_.prepare(next.size());
      std::copy(next.begin(), next.end(), static_cast<char*>(space.data()));
      buffer_.commit(next.size());
      failure = parse_some(parser, buffer_);
    }
    return failure;
  }

 private:
  std::string_view left_;
  const size_t step_;
  boost::beast::flat_buffer buffer_;
};

std::string text_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

// What the server makes of a head, one line a fact.
std::string describe(const HttpRequest& request) {
  static const Networks proxies = Networks::parse({"127.0.0.1", "10.0.0.0/8"}).value();
  static const Address local = boost::asio::ip::make_address("192.168.7.9");
  ServerOptions options;
  options.allowed_hosts = {"models.example"};
  options.cors_origins = {"https://page.example"};
  std::string out = text_of(request.method_string()) + "\n";
  const std::string path = path_of({request.target().data(), request.target().size()});
  require(path.find_first_of("?#") == path.npos, "a path has no query");
  out += path + "\n" + (names_one_host(request) ? "one host\n" : "hosts\n");
  if (const auto wrong = check_host(options, request, local)) {
    require(wrong->status == 403 && !wrong->message.empty(), "a host is refused with its reason");
    require(Json::accept(dump(to_json(*wrong))), "an error is JSON");
    out += wrong->code + "\n";
  }
  const Address client = client_address(boost::asio::ip::make_address("127.0.0.1"),
                                        text_of(request["X-Forwarded-For"]), proxies);
  const std::string id = request_id(text_of(request["X-Request-Id"]));
  require(!id.empty() && id.size() <= 128, "an id is short");
  return out + client.to_string() + "\n" + client_key(client, proxies) + "\n";
}

error_code take_body(Wire& wire, Parser& parser, size_t room, std::string& body) {
  parser.eager(true);
  std::vector<char> piece(room);
  while (!parser.is_done()) {
    offer_room(parser, piece.data(), room);
    const error_code failure = wire.parse(parser);
    body.append(piece.data(), room - room_left(parser));
    require(body.size() <= kBodyLimit, "a body keeps to its limit");
    if (failure && failure != http::error::need_buffer) return failure;
  }
  return {};
}

std::vector<std::string> requests_in(std::string_view bytes, size_t step, size_t room) {
  Wire wire(bytes, step);
  std::vector<std::string> out;
  while (true) {
    Parser parser;
    parser.header_limit(kHeadLimit);
    parser.body_limit(kBodyLimit);
    error_code failure;
    while (!failure && !parser.is_header_done()) failure = wire.parse(parser);
    if (failure) return out;
    const HttpRequest request(parser.get().base());
    std::string body;
    if (take_body(wire, parser, room, body)) return out;
    out.push_back(describe(request) + body);
    if (!request.keep_alive()) return out;
  }
}

}  // namespace
}  // namespace continuo::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace continuo::server;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t step = 1 + data[0] % 16, room = 1 + data[0] / 16;
  const auto whole = requests_in(bytes, bytes.size() + 1, 16 << 10);
  const auto cut = requests_in(bytes, step, room);
  require(whole == cut, "the same requests, however they are cut");
  return 0;
}
