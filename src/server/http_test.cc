// The HTTP layer: what reaches a handler, what is turned away, how connections live and end.
#include "server/server_fixture_test.h"

namespace continuo::server {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class HttpTest : public ServerTest {};

TEST_F(HttpTest, KeepsTheConnection) {
  start();
  auto to = client();
  for (int i = 0; i < 3; ++i) {
    const Reply reply = to.post(kCompletions, completion());
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.headers.at("connection"), "keep-alive");
    EXPECT_EQ(reply.json()["choices"][0]["token_ids"], (std::vector{5, 6, 7, 5}));
  }
}

TEST_F(HttpTest, AnswersPipelinedRequestsInOrder) {
  start();
  auto to = client();
  std::string requests;
  for (int i = 1; i <= 4; ++i)
    requests += TestClient::post_text(
        kCompletions, R"({"prompt": [9], "max_tokens": )" + std::to_string(i) + "}");
  to.send(requests + "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  for (int i = 1; i <= 4; ++i) EXPECT_EQ(to.reply().json()["usage"]["completion_tokens"], i);
  EXPECT_EQ(to.reply().json()["status"], "ok");
}

TEST_F(HttpTest, ReadsChunkedBodies) {
  start();
  auto to = client();
  to.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  const std::string body = completion();
  for (const char c : body) to.send(std::string("1;x=y\r\n") + c + "\r\n");
  to.send("0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(to.reply().status, 200);
  EXPECT_EQ(to.get("/health").status, 200);
}

TEST_F(HttpTest, TellsAWaitingClientToGoAhead) {
  start();
  auto to = client();
  const std::string whole =
      TestClient::post_text(kCompletions, completion(), "Expect: 100-continue\r\n");
  const size_t head = whole.find("\r\n\r\n") + 4;
  to.send(whole.substr(0, head));
  EXPECT_EQ(to.reply().status, 100);
  to.send(whole.substr(head));
  EXPECT_EQ(to.reply().status, 200);
}

TEST_F(HttpTest, RefusesWhatIsNoHttp) {
  start();
  for (const char* text :
       {"\r\n\r\n", "nonsense\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost : t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nBad\x01Name: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nA: \x01\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /health HTTP/1.1\r\n\r\n", "GET /health HTTP/1.1\r\nHost:\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: "
        "4\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: application/json\r\n\r\nxyz\r\n"}) {
    auto to = client();
    to.send(text);
    const Reply reply = to.reply();
    EXPECT_EQ(reply.status, 400) << text;
    EXPECT_EQ(reply.json()["error"]["code"], "bad_http") << text;
    EXPECT_TRUE(to.ended()) << text;
  }
  EXPECT_EQ(client().get("/health").status, 200);
}

TEST_F(HttpTest, LimitsHeadAndBody) {
  ServerOptions options;
  options.max_header_bytes = 2000;
  options.max_body_bytes = 300;
  start(options);
  EXPECT_EQ(client().get("/" + std::string(3000, 'x')).status, 431);
  EXPECT_EQ(client().get("/health", "A: " + std::string(3000, 'x') + "\r\n").status, 431);
  EXPECT_EQ(client().get("/health", "A: " + std::string(1000, 'x') + "\r\n").status, 200);
  EXPECT_EQ(client().post(kCompletions, std::string(301, ' ')).status, 413);
  auto to = client();
  to.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n200\r\n" +
      std::string(512, ' ') + "\r\n0\r\n\r\n");
  EXPECT_EQ(to.reply().status, 413);
}

TEST_F(HttpTest, BoundsAllBodiesTogether) {
  ServerOptions options;
  options.max_body_bytes = options.max_bodies_bytes = 1000;
  start(options);
  auto slow = client();
  const std::string whole =
      TestClient::post_text(kCompletions, completion() + std::string(600, ' '));
  slow.send(whole.substr(0, whole.size() - 1));
  while (true) {  // until the server has read the first one's head
    const Reply reply = client().post(kCompletions, completion() + std::string(600, ' '));
    if (reply.status == 503) {
      EXPECT_EQ(reply.json()["error"]["code"], "busy");
      break;
    }
    ASSERT_EQ(reply.status, 200);
  }
  slow.send(" ");
  EXPECT_EQ(slow.reply().status, 200);
  EXPECT_EQ(client().post(kCompletions, completion() + std::string(600, ' ')).status, 200);
}

TEST_F(HttpTest, SlowRequestsTimeOut) {
  ServerOptions options;
  options.read_timeout = 200ms;
  options.idle_timeout = 100ms;
  start(options);
  auto head = client();
  head.send("GET /health HT");
  EXPECT_EQ(head.reply().status, 408);
  auto body = client();
  const std::string whole = TestClient::post_text(kCompletions, completion());
  body.send(whole.substr(0, whole.size() - 1));
  EXPECT_EQ(body.reply().status, 408);
  EXPECT_TRUE(body.ended());
  EXPECT_TRUE(client().ended());  // idle: closed without a word
}

TEST_F(HttpTest, SlowReadersTimeOutAndFreeTheirSlot) {
  ServerOptions options;
  options.write_timeout = 200ms;
  ServedModel model = ids_model();
  model.context = 1 << 30;
  backend_.say_much(10'000, 100us);
  start(options, model);
  auto to = client();
  const int small = 1;
  setsockopt(to.descriptor(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  to.send(TestClient::post_text(kCompletions,
                                R"({"prompt": [5], "max_tokens": 1000000000, "stream": true})"));
  backend_.wait_until_started();
  backend_.wait_until_idle();
  EXPECT_EQ(backend_.cancelled(), 1);
}

TEST_F(HttpTest, UnknownPathsAndMethods) {
  start();
  auto to = client();
  EXPECT_EQ(to.get("/nowhere").status, 404);
  EXPECT_EQ(to.get("/../etc/passwd").status, 404);
  const Reply reply = to.get(kCompletions);
  EXPECT_EQ(reply.status, 405);
  EXPECT_EQ(reply.headers.at("allow"), "POST");
  EXPECT_EQ(reply.json()["error"]["code"], "method_not_allowed");
  EXPECT_EQ(to.post("/health", "{}").headers.at("allow"), "GET");
  to.send("DELETE /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(to.reply().status, 405);
  to.send("HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(to.reply(true).status, 200);
  to.send("GET http://localhost/health?x=1#y HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(to.reply().status, 200);
}

TEST_F(HttpTest, WantsJson) {
  start();
  auto to = client();
  to.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
      "Content-Length: 2\r\n\r\n{}");
  EXPECT_EQ(to.reply().status, 415);
  to.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(to.reply().status, 415);
  to.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: Application/JSON ; charset=utf-8\r\n\r\n");
  EXPECT_EQ(to.reply().status, 411);
  EXPECT_EQ(client().post(kCompletions, "{\"a\":").status, 400);
}

TEST_F(HttpTest, AsksForTheKey) {
  ServerOptions options;
  options.api_keys = {"first", "second"};
  start(options);
  auto to = client();
  const auto status = [&](const std::string& headers) {
    return to.post(kCompletions, completion(), headers).status;
  };
  EXPECT_EQ(status(""), 401);
  EXPECT_EQ(status("Authorization: Bearer \r\n"), 401);
  EXPECT_EQ(status("Authorization: Bearer firs\r\n"), 401);
  EXPECT_EQ(status("Authorization: Bearer firstsecond\r\n"), 401);
  EXPECT_EQ(status("Authorization: first\r\n"), 401);
  EXPECT_EQ(status("Authorization: Bearer first\r\n"), 200);
  EXPECT_EQ(status("authorization: bearer second\r\n"), 200);
  EXPECT_EQ(status("X-Api-Key: second\r\n"), 200);
  EXPECT_EQ(to.get("/slots").status, 401);
  EXPECT_EQ(to.get("/v1/models").status, 401);
  EXPECT_EQ(to.get("/health").status, 200);
  EXPECT_EQ(to.get("/metrics").status, 200);
  EXPECT_EQ(to.get("/openapi.json").status, 200);
}

TEST_F(HttpTest, CrossOriginOnlyWhereAsked) {
  const std::string ask =
      "OPTIONS /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Origin: http://a\r\nAccess-Control-Request-Method: POST\r\n\r\n";
  start();
  auto closed = client();
  closed.send(ask);
  EXPECT_EQ(closed.reply().status, 405);
  EXPECT_FALSE(closed.get("/health", "Origin: http://a\r\n")
                   .headers.contains("access-control-allow-origin"));
  ServerOptions options;
  options.cors_origins = {"http://a"};
  start(options);
  auto open = client();
  open.send(ask);
  const Reply reply = open.reply();
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.headers.at("access-control-allow-origin"), "http://a");
  EXPECT_THAT(reply.headers.at("access-control-allow-headers"), HasSubstr("Authorization"));
  EXPECT_EQ(open.get("/health", "Origin: http://a\r\n").headers.at("access-control-allow-origin"),
            "http://a");
  EXPECT_FALSE(
      open.get("/health", "Origin: http://b\r\n").headers.contains("access-control-allow-origin"));
}

TEST_F(HttpTest, RequestIds) {
  start();
  auto to = client();
  EXPECT_EQ(to.get("/health", "X-Request-Id: abc-1.2_3\r\n").headers.at("x-request-id"),
            "abc-1.2_3");
  const std::string made = to.get("/health", "X-Request-Id: a b\r\n").headers.at("x-request-id");
  EXPECT_EQ(made.size(), 32u);
  EXPECT_NE(to.get("/health").headers.at("x-request-id"), made);
}

TEST_F(HttpTest, FilesHaveTheirTypeAndTag) {
  start();
  auto to = client();
  const Reply reply = to.get("/openapi.json");
  EXPECT_EQ(reply.headers.at("content-type"), "application/json");
  EXPECT_THAT(reply.headers.at("content-security-policy"), HasSubstr("default-src 'self'"));
  EXPECT_EQ(reply.json()["openapi"], "3.1.0");
  const Reply again =
      to.get("/openapi.json", "If-None-Match: " + reply.headers.at("etag") + "\r\n");
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(to.get("/health").status, 200);
}

TEST_F(HttpTest, APortThatIsTakenIsReported) {
  start();
  ServerOptions options;
  options.model_names = {"tiny"};
  options.port = static_cast<uint16_t>(
      std::stoi(server_->address().substr(server_->address().rfind(':') + 1)));
  const auto second = Server::listen(options);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(options.port)));
  options.host = "no.such.host.invalid";
  EXPECT_FALSE(Server::listen(options).ok());
}

}  // namespace
}  // namespace continuo::server
