// Who a client is: its socket's address or, behind a proxy that is trusted, what the proxy says.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace continuo::server {

using Address = boost::asio::ip::address;

// ::ffff:10.0.0.1 is 10.0.0.1.
Address unmapped(const Address& address);

// Addresses and networks: "10.0.0.7", "10.0.0.0/8", "fd00::/8". Immutable; any thread.
class Networks {
 public:
  static Result<Networks> parse(const std::vector<std::string>& texts);
  bool contains(const Address& address) const;

 private:
  std::vector<boost::asio::ip::network_v4> v4_;
  std::vector<boost::asio::ip::network_v6> v6_;
};

// The client behind `peer`: the last address of `forwarded` (X-Forwarded-For) that is no trusted
// proxy's. What an untrusted peer says is not believed.
Address client_address(const Address& peer, std::string_view forwarded, const Networks& proxies);

// What limits count a client by: its address, of IPv6 the first 64 bits; "" = no limits: this
// machine and trusted proxies.
std::string client_key(const Address& client, const Networks& proxies);

}  // namespace continuo::server
