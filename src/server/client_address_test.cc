#include "server/client_address.h"

#include <gmock/gmock.h>

namespace continuo::server {
namespace {

using ::testing::HasSubstr;

Address at(const char* text) { return boost::asio::ip::make_address(text); }
Networks networks(const std::vector<std::string>& texts) { return Networks::parse(texts).value(); }

TEST(Networks, HoldAddressesAndRanges) {
  const Networks some = networks({"10.1.0.0/16", "192.0.2.7", "fd00:1::/32", "::1"});
  for (const char* inside : {"10.1.255.3", "192.0.2.7", "fd00:1:2::3", "::1"})
    EXPECT_TRUE(some.contains(at(inside))) << inside;
  for (const char* outside : {"10.2.0.1", "192.0.2.8", "fd00:2::1", "::2", "127.0.0.1"})
    EXPECT_FALSE(some.contains(at(outside))) << outside;
  for (const char* wrong : {"", "proxy", "10.0.0.0/33", "10.0.0", "fd00::/129", "::1/x"}) {
    const auto parsed = Networks::parse({wrong});
    ASSERT_FALSE(parsed.ok()) << wrong;
    EXPECT_THAT(parsed.error().message, HasSubstr('"' + std::string(wrong) + '"'));
  }
}

TEST(ClientAddress, IsBelievedOfTrustedProxiesAlone) {
  const Networks proxies = networks({"10.0.0.0/8"});
  const auto of = [&](const char* peer, const char* forwarded) {
    return client_address(at(peer), forwarded, proxies).to_string();
  };
  EXPECT_EQ(of("203.0.113.5", "198.51.100.1"), "203.0.113.5");
  EXPECT_EQ(of("10.0.0.1", ""), "10.0.0.1");
  EXPECT_EQ(of("10.0.0.1", "198.51.100.1"), "198.51.100.1");
  EXPECT_EQ(of("::ffff:10.0.0.1", " 198.51.100.1:4711 "), "198.51.100.1");
  EXPECT_EQ(of("10.0.0.1", "[2001:db8::7]:4711"), "2001:db8::7");
  // The first address is what the client wrote itself; the last that is no proxy's counts.
  EXPECT_EQ(of("10.0.0.1", "127.0.0.1, 198.51.100.1, 10.0.0.2"), "198.51.100.1");
  EXPECT_EQ(of("10.0.0.1", "198.51.100.1, nonsense"), "10.0.0.1");
  EXPECT_EQ(of("10.0.0.1", ",,"), "10.0.0.1");
  EXPECT_EQ(of("10.0.0.1", "["), "10.0.0.1");
}

TEST(ClientAddress, LimitsCountByAddressOrNetwork) {
  const Networks proxies = networks({"10.0.0.0/8"});
  for (const char* unlimited : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "10.2.3.4"})
    EXPECT_EQ(client_key(at(unlimited), proxies), "") << unlimited;
  EXPECT_EQ(client_key(at("::ffff:192.0.2.7"), proxies), client_key(at("192.0.2.7"), proxies));
  EXPECT_EQ(client_key(at("2001:db8::1"), proxies), client_key(at("2001:db8::9:1"), proxies));
  EXPECT_NE(client_key(at("2001:db8::1"), proxies), client_key(at("2001:db8:0:1::1"), proxies));
}

}  // namespace
}  // namespace continuo::server
