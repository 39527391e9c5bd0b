// HTTP's requests without a connection: bytes, a parser, and what a head must hold.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <string>
#include <string_view>

namespace continuo::server {

namespace http = boost::beast::http;
using boost::system::error_code;
using Parser = http::request_parser<http::buffer_body>;
using HttpRequest = http::request<http::string_body>;

// Takes from `buffer` what the parser can use. need_more: it wants more bytes than there are;
// need_buffer: the room for the body is full.
error_code parse_some(Parser& parser, boost::beast::flat_buffer& buffer);
// No more bytes come. end_of_stream: no request has begun; partial_message: it is cut short.
error_code parse_end(Parser& parser);

// Where the body's next bytes go.
void offer_room(Parser& parser, char* piece, size_t room);
size_t room_left(const Parser& parser);

// HTTP/1.0 knew no Host.
bool names_one_host(const HttpRequest& request);
// "/v1/models" of "http://host/v1/models?x=1".
std::string path_of(std::string_view target);
// A client's id is kept if it is 1 to 128 letters, digits, ".", "_" or "-"; else a new one.
std::string request_id(std::string_view given);

}  // namespace continuo::server
