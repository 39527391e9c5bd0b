#include "server/host_check.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

#include "server/fields.h"

namespace continuo::server {
namespace {

namespace http = boost::beast::http;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// What a request is sent to, "example.org:80": an absolute target's own authority counts, not Host.
std::string authority_of(const HttpRequest& request) {
  std::string_view target(request.target().data(), request.target().size());
  if (const size_t scheme = target.find("://"); !target.starts_with('/') && scheme != target.npos) {
    target.remove_prefix(scheme + 3);
    return lower(target.substr(0, target.find_first_of("/?#")));
  }
  const auto host = request[http::field::host];
  return lower({host.data(), host.size()});
}

// "example.org" of "example.org.:80", "::1" of "[::1]:80"; "" where it is no host.
std::string name_of(std::string_view authority) {
  std::string_view name = authority, port;
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == authority.npos) return "";
    name = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else if (const size_t colon = authority.find(':'); colon != authority.npos) {
    name = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (!port.empty() &&
      (port.front() != ':' || port.find_first_not_of("0123456789", 1) != std::string_view::npos))
    return "";
  if (name.ends_with('.')) name.remove_suffix(1);
  return std::string(name);
}

// An address that is this machine's cannot be another site's name.
bool is_this_host(const std::string& name, const ServerOptions& options, const Address& local) {
  if (name == "localhost" || (!name.empty() && name == lower(options.host))) return true;
  for (const std::string& each : options.allowed_hosts)
    if (name == name_of(lower(each))) return true;
  boost::system::error_code failure;
  const Address address = boost::asio::ip::make_address(name, failure);
  return !failure && (unmapped(address).is_loopback() || unmapped(address) == unmapped(local));
}

bool is_allowed_origin(std::string_view origin, const std::string& authority,
                       const ServerOptions& options) {
  for (const std::string& each : options.cors_origins)
    if (each == "*" || each == origin) return true;
  const size_t scheme = origin.find("://");
  return scheme != origin.npos && lower(origin.substr(scheme + 3)) == authority;
}

}  // namespace

std::optional<ApiError> check_host(const ServerOptions& options, const HttpRequest& request,
                                   const Address& local) {
  if (!options.api_keys.empty()) return std::nullopt;
  const std::string authority = authority_of(request);
  const bool old = authority.empty() && request.version() < 11;  // no browser speaks HTTP/1.0
  const std::string name = name_of(authority);
  if (!old && (name.empty() || !is_this_host(name, options, local)))
    return ApiError{403,
                    "This server has no API key and does not answer to the host " +
                        shown(Json(authority)) + "; start it with --allowed-host to allow it.",
                    "host_not_allowed"};
  const bool reads = request.method() == http::verb::get || request.method() == http::verb::head ||
                     request.method() == http::verb::options;
  const auto origin = request[http::field::origin];
  if (reads || origin.empty() ||
      is_allowed_origin({origin.data(), origin.size()}, authority, options))
    return std::nullopt;
  return ApiError{403,
                  "This server has no API key and takes nothing from pages of " +
                      shown(Json(std::string(origin.data(), origin.size()))) +
                      "; start it with --cors-origin to allow them.",
                  "origin_not_allowed"};
}

}  // namespace continuo::server
