// What a hostile client, page or setting may try against the HTTP layer.
#include <deque>
#include <thread>

#include "server/server_fixture_test.h"

namespace continuo::server {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class HostileTest : public ServerTest {
 protected:
  // A request's head that announces a body, and `sent` bytes of it.
  static std::string begun(size_t announced, size_t sent) {
    return "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
           "Content-Length: " +
           std::to_string(announced) + "\r\n\r\n" + std::string(sent, ' ');
  }
  Reply ask(const std::string& host, const std::string& headers = "") const {
    auto to = client();
    const std::string body = completion();
    to.send("POST /v1/completions HTTP/1.1\r\nHost: " + host +
            "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
            "\r\n" + headers + "\r\n" + body);
    return to.reply();
  }
};

TEST_F(HostileTest, SilentBodiesReserveNothing) {
  start();
  std::deque<TestClient> silent;
  for (int i = 0; i < 40; ++i) {
    silent.emplace_back(server_->address());
    silent.back().send(begun(16 << 20, static_cast<size_t>(i % 2)));
  }
  for (int i = 0; i < 3; ++i) {
    const Reply reply = client().post(kCompletions, completion());
    EXPECT_EQ(reply.status, 200) << reply.body;
  }
}

TEST_F(HostileTest, SlowBodiesEnd) {
  ServerOptions options;
  options.body_grace = 200ms;
  options.min_body_rate = 100;
  start(options);
  auto slow = client();
  slow.send(begun(1000, 1));
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(slow.reply().status, 408);
  EXPECT_TRUE(slow.ended());
  EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);  // not the minute of read_timeout
  auto steady = client();  // 17 bytes every 20 ms: slow, but quicker than it must be
  const std::string whole = begun(400, 0) + completion() + std::string(400, ' ');
  const std::string text = whole.substr(0, begun(400, 0).size() + 400);
  for (size_t at = 0; at < text.size(); at += 17) {
    steady.send(text.substr(at, 17));
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(steady.reply().status, 200);
}

TEST_F(HostileTest, SlowHeadsEnd) {
  ServerOptions options;
  options.head_timeout = 100ms;
  start(options);
  auto slow = client();
  slow.send("POST /v1/comp");
  EXPECT_EQ(slow.reply().status, 408);
}

TEST_F(HostileTest, BodiesAreBoundedByAddress) {
  ServerOptions options;
  options.max_address_bytes = 5000;
  options.trusted_proxies = {"127.0.0.1"};
  start(options);
  const auto from = [&](const std::string& address) {
    return client().post(kCompletions, completion() + std::string(3000, ' '),
                         "X-Forwarded-For: " + address + "\r\n");
  };
  auto slow = client();
  const std::string whole = TestClient::post_text(
      kCompletions, completion() + std::string(3000, ' '), "X-Forwarded-For: 192.0.2.7\r\n");
  slow.send(whole.substr(0, whole.size() - 1));
  Reply refused;
  while ((refused = from("192.0.2.7")).status == 200) {  // until the first one has been read
  }
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.json()["error"]["code"], "too_many_bytes");
  EXPECT_EQ(from("192.0.2.8").status, 200);
  EXPECT_EQ(client().post(kCompletions, completion() + std::string(3000, ' ')).status, 200);
  slow.send(" ");
  EXPECT_EQ(slow.reply().status, 200);
  EXPECT_EQ(from("192.0.2.7").status, 200);
}

TEST_F(HostileTest, ExpectationsHaveNoCase) {
  start();
  auto to = client();
  const std::string whole =
      TestClient::post_text(kCompletions, completion(), "Expect: 100-Continue\r\n");
  const size_t head = whole.find("\r\n\r\n") + 4;
  to.send(whole.substr(0, head));
  EXPECT_EQ(to.reply().status, 100);
  to.send(whole.substr(head));
  EXPECT_EQ(to.reply().status, 200);
}

TEST_F(HostileTest, WithoutAKeyOnlyThisHostIsServed) {
  ServerOptions options;
  options.allowed_hosts = {"Models.Example"};
  start(options);
  for (const char* host : {"localhost", "LOCALHOST:99", "localhost.", "127.0.0.1", "127.0.0.1:8080",
                           "[::1]", "[::1]:7", "models.example", "models.example:443"})
    EXPECT_EQ(ask(host).status, 200) << host;
  for (const char* host :
       {"evil", "evil.localhost.com", "localhost.evil", "192.0.2.7", "127.0.0.1.evil", "[::2]",
        "[::1", "localhost:8080@evil", "evil:80", "2130706433", ":80"}) {
    const Reply reply = ask(host);
    EXPECT_EQ(reply.status, 403) << host;
    EXPECT_EQ(reply.json()["error"]["code"], "host_not_allowed") << host;
    EXPECT_THAT(reply.body, HasSubstr("--allowed-host"));
  }
  auto to = client();
  for (const char* path : {"/", "/health", "/slots", "/metrics", "/v1/models", "/nowhere"}) {
    to.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: evil\r\n\r\n");
    EXPECT_EQ(to.reply().status, 403) << path;
  }
  // The target's own host counts, whatever the header says.
  to.send("GET http://evil/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(to.reply().status, 403);
}

TEST_F(HostileTest, WithoutAKeyForeignPagesPostNothing) {
  start();
  for (const char* origin : {"http://evil", "null", "http://localhost:3000", "evil"}) {
    const Reply reply = ask("localhost", "Origin: " + std::string(origin) + "\r\n");
    EXPECT_EQ(reply.status, 403) << origin;
    EXPECT_EQ(reply.json()["error"]["code"], "origin_not_allowed") << origin;
  }
  EXPECT_EQ(ask("localhost:8080", "Origin: http://localhost:8080\r\n").status,
            200);  // our own page
  ServerOptions options;
  options.cors_origins = {"http://good"};
  start(options);
  EXPECT_EQ(ask("localhost", "Origin: http://good\r\n").status, 200);
  EXPECT_EQ(ask("localhost", "Origin: http://evil\r\n").status, 403);
}

TEST_F(HostileTest, WithAKeyAnyHostIsServed) {
  ServerOptions options;
  options.api_keys = {"secret"};
  start(options);
  EXPECT_EQ(ask("evil").status, 401);
  EXPECT_EQ(ask("models.example", "Origin: http://page\r\nAuthorization: Bearer secret\r\n").status,
            200);
}

TEST(HostileSettings, LeaveNoServerOpen) {
  const auto refusal = [](ServerOptions options) {
    options.port = 0;
    options.model_names = {"tiny"};
    const auto server = Server::listen(std::move(options));
    return server.ok() ? std::string() : server.error().message;
  };
  ServerOptions options;
  options.host = "0.0.0.0";
  EXPECT_THAT(refusal(options), HasSubstr("CONTINUO_API_KEY"));
  options.insecure = true;
  EXPECT_EQ(refusal(options), "");
  options.insecure = false;
  options.api_keys = {"secret"};
  EXPECT_EQ(refusal(options), "");
  for (const char* key : {"", " ", "two words", "line\n", "\xc3\xa9"}) {
    options.api_keys = {"secret", key};
    EXPECT_THAT(refusal(options), HasSubstr("expected an API key")) << key;
  }
  options = ServerOptions();
  options.trusted_proxies = {"proxy.example"};
  EXPECT_THAT(refusal(options), HasSubstr("proxy.example"));
}

}  // namespace
}  // namespace continuo::server
