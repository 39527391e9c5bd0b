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

}  // namespace
}  // namespace continuo::server
