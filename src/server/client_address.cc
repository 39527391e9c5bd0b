#include "server/client_address.h"

#include <optional>

namespace continuo::server {
namespace {

namespace ip = boost::asio::ip;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// "10.0.0.1", "10.0.0.1:5123", "fd00::1" or "[fd00::1]:5123".
std::optional<Address> address_of(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('[')) {
    text = text.substr(1, text.find(']') - 1);
  } else if (const size_t colon = text.find(':'); colon == text.rfind(':')) {
    text = text.substr(0, colon);
  }
  boost::system::error_code failure;
  const Address address = ip::make_address(std::string(text), failure);
  if (failure) return std::nullopt;
  return unmapped(address);
}

}  // namespace

Address unmapped(const Address& address) {
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
  return ip::make_address_v4(ip::v4_mapped, address.to_v6());
}

Result<Networks> Networks::parse(const std::vector<std::string>& texts) {
  Networks out;
  for (const std::string& text : texts) {
    const bool v6 = text.find(':') != std::string::npos;
    const bool whole = text.find('/') == std::string::npos;
    boost::system::error_code failure;
    if (v6)
      out.v6_.push_back(ip::make_network_v6(whole ? text + "/128" : text, failure).canonical());
    else
      out.v4_.push_back(ip::make_network_v4(whole ? text + "/32" : text, failure).canonical());
    if (failure)
      return error(ErrorCode::kInvalidArgument,
                   "expected an address or a network such as 10.0.0.0/8, got \"{}\"", text);
  }
  return out;
}

bool Networks::contains(const Address& address) const {
  if (address.is_v4()) {
    for (const auto& each : v4_)
      if (ip::network_v4(address.to_v4(), each.prefix_length()).canonical() == each) return true;
  } else {
    for (const auto& each : v6_)
      if (ip::network_v6(address.to_v6(), each.prefix_length()).canonical() == each) return true;
  }
  return false;
}

Address client_address(const Address& peer, std::string_view forwarded, const Networks& proxies) {
  Address client = unmapped(peer);
  while (proxies.contains(client) && !forwarded.empty()) {
    const size_t comma = forwarded.rfind(',');
    const auto next = address_of(comma == forwarded.npos ? forwarded : forwarded.substr(comma + 1));
    if (!next) break;
    client = *next;
    forwarded = comma == forwarded.npos ? std::string_view() : forwarded.substr(0, comma);
  }
  return client;
}

std::string client_key(const Address& client, const Networks& proxies) {
  const Address address = unmapped(client);
  if (address.is_unspecified() || address.is_loopback() || proxies.contains(address)) return "";
  if (address.is_v4()) return address.to_string();
  return ip::network_v6(address.to_v6(), 64).canonical().to_string();
}

}  // namespace continuo::server
