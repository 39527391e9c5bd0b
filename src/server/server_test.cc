// Endpoints over a backend without a model: answers, streams, errors, the server's life.
#include <thread>

#include "server/server_fixture_test.h"

namespace continuo::server {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

// The JSON objects of a stream; its end is checked.
std::vector<json> events(const std::string& body) {
  std::vector<json> out;
  size_t at = 0;
  EXPECT_TRUE(body.ends_with("data: [DONE]\n\n")) << body;
  for (size_t end = body.find("\n\n"); end != std::string::npos; end = body.find("\n\n", at)) {
    EXPECT_EQ(body.substr(at, 6), "data: ");
    const std::string text = body.substr(at + 6, end - at - 6);
    if (text != "[DONE]") out.push_back(json::parse(text));
    at = end + 2;
  }
  return out;
}

TEST_F(ServerTest, Completes) {
  start();
  const Reply reply = client().post(kCompletions, completion(R"(, "n": 2, "stop": null)"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json body = reply.json();
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["model"], "tiny");
  ASSERT_EQ(body["choices"].size(), 2u);
  EXPECT_EQ(body["choices"][1]["index"], 1);
  EXPECT_EQ(body["choices"][1]["text"], "<5><6><7><5>");
  EXPECT_EQ(body["choices"][1]["finish_reason"], "length");
  EXPECT_EQ(body["choices"][1]["prompt_token_ids"], (std::vector{5, 6, 7}));
  EXPECT_EQ(body["usage"],
            (json{{"prompt_tokens", 3}, {"completion_tokens", 8}, {"total_tokens", 11}}));
}

TEST_F(ServerTest, CompletesSeveralPrompts) {
  start();
  const Reply reply = client().post(
      kCompletions, R"({"prompt": [[1, 2], [3]], "n": 2, "max_tokens": 3, "model": "also-tiny"})");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json choices = reply.json()["choices"];
  ASSERT_EQ(choices.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(choices[i]["index"], i);
  EXPECT_EQ(choices[1]["text"], "<1><2><1>");
  EXPECT_EQ(choices[2]["text"], "<3><3><3>");
  EXPECT_EQ(choices[2]["prompt_token_ids"], (std::vector{3}));
  EXPECT_EQ(reply.json()["usage"]["prompt_tokens"], 3);
}

TEST_F(ServerTest, StreamsACompletion) {
  start();
  const Reply reply = client().post(
      kCompletions, completion(R"(, "stream": true, "stream_options": {"include_usage": true})"));
  EXPECT_THAT(reply.headers.at("content-type"), HasSubstr("text/event-stream"));
  const auto pieces = events(reply.body);
  ASSERT_EQ(pieces.size(), 6u);  // four tokens, the end, the usage
  std::string text;
  std::vector<int> ids;
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(pieces[i]["id"], pieces[0]["id"]);
    EXPECT_TRUE(pieces[i]["usage"].is_null());
    text += pieces[i]["choices"][0]["text"].get<std::string>();
    for (const int id : pieces[i]["choices"][0]["token_ids"]) ids.push_back(id);
  }
  EXPECT_EQ(text, "<5><6><7><5>");
  EXPECT_EQ(ids, (std::vector{5, 6, 7, 5}));
  EXPECT_EQ(pieces[0]["choices"][0]["prompt_token_ids"], (std::vector{5, 6, 7}));
  EXPECT_FALSE(pieces[1]["choices"][0].contains("prompt_token_ids"));
  EXPECT_TRUE(pieces[3]["choices"][0]["finish_reason"].is_null());
  EXPECT_EQ(pieces[4]["choices"][0]["finish_reason"], "length");
  EXPECT_TRUE(pieces[5]["choices"].empty());
  EXPECT_EQ(pieces[5]["usage"]["completion_tokens"], 4);
}

TEST_F(ServerTest, StreamsToOldClients) {
  start();
  auto to = client();
  const std::string body = completion(R"(, "stream": true)");
  to.send("POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: " +
          std::to_string(body.size()) + "\r\n\r\n" + body);
  const Reply reply = to.reply();
  EXPECT_FALSE(reply.headers.contains("transfer-encoding"));
  EXPECT_EQ(reply.headers.at("connection"), "close");
  EXPECT_EQ(events(reply.body).size(), 5u);
}

TEST_F(ServerTest, ChatsWholeAndStreaming) {
  start({}, text_model());
  const std::string request =
      R"({"messages": [{"role": "user", "content": "ab"}], "max_tokens": 3)";
  const Reply whole = client().post("/v1/chat/completions", request + "}");
  ASSERT_EQ(whole.status, 200) << whole.body;
  const json choice = whole.json()["choices"][0];
  EXPECT_EQ(whole.json()["object"], "chat.completion");
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_FALSE(choice.contains("token_ids"));
  const auto pieces =
      events(client().post("/v1/chat/completions", request + R"(, "stream": true})").body);
  ASSERT_EQ(pieces.size(), 4u);
  EXPECT_EQ(pieces[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(pieces[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_FALSE(pieces[1]["choices"][0]["delta"].contains("role"));
  std::string text;
  for (const json& piece : pieces)
    text += piece["choices"][0]["delta"].value("content", std::string());
  EXPECT_EQ(text, choice["message"]["content"]);
  EXPECT_EQ(pieces[3]["choices"][0]["finish_reason"], "length");
}

TEST_F(ServerTest, NoTemplateNoChat) {
  start({}, text_model(""));
  const Reply reply =
      client().post("/v1/chat/completions", R"({"messages": [{"role": "user", "content": "a"}]})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.json()["error"]["message"].get<std::string>(), HasSubstr("no chat template"));
}

TEST_F(ServerTest, WrongFieldsAreNamed) {
  start();
  auto to = client();
  const Reply reply = to.post(kCompletions, completion(R"(, "top_p": "x")"));
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.json()["error"]["param"], "top_p");
  EXPECT_EQ(to.post(kCompletions, completion(R"(, "unheard_of": {"a": 1})")).status, 200);
  const Reply other = to.post(kCompletions, R"({"model": "other", "prompt": [1]})");
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(other.json()["error"]["code"], "model_not_found");
}

TEST_F(ServerTest, AFullQueueIs429) {
  start();
  backend_.fill(true);
  const Reply reply = client().post(kCompletions, completion());
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.headers.at("retry-after"), "1");
  EXPECT_EQ(reply.json()["error"]["code"], "queue_full");
  backend_.fill(false);
  EXPECT_EQ(client().post(kCompletions, completion()).status, 200);
}

TEST_F(ServerTest, AFailedStepIs500OrAnEvent) {
  start();
  backend_.fail(true);
  const Reply whole = client().post(kCompletions, completion());
  EXPECT_EQ(whole.status, 500);
  EXPECT_THAT(whole.json()["error"]["message"].get<std::string>(), HasSubstr("on fire"));
  EXPECT_EQ(client().post(kCompletions, completion(R"(, "stream": true)")).status, 500);
  backend_.fail(false);
  backend_.hold(true);
  auto to = client();
  to.send(TestClient::post_text(kCompletions, completion(R"(, "stream": true)")));
  to.read_until("<6>");
  backend_.fail(true);
  backend_.hold(false);
  const auto pieces = events(to.reply().body);
  EXPECT_EQ(pieces.back()["error"]["code"], "engine_error");
}

TEST_F(ServerTest, AClientThatLeavesIsCancelled) {
  start();
  backend_.hold(true);
  for (const char* more : {"", R"(, "stream": true)"}) {
    auto to = client();
    to.send(TestClient::post_text(kCompletions, completion(more)));
    if (*more != '\0') to.read_until("<6>");
    backend_.wait_until_started();
    to.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");  // pipelined behind it
    to.close();
    backend_.wait_until_idle();
  }
  EXPECT_EQ(backend_.cancelled(), 2);
  const std::string line = "finished_reason=\"abort\",model_name=\"tiny\"} ";
  std::string text = client().get("/metrics").body;
  while (text.find(line + "2\n") == std::string::npos) {  // counted after the cancel
    ASSERT_THAT(text, ::testing::AnyOf(HasSubstr(line + "0\n"), HasSubstr(line + "1\n")));
    text = client().get("/metrics").body;
  }
}

TEST_F(ServerTest, LoadsThenServesThenDrains) {
  listen();
  auto to = client();
  engine::EngineOptions options;
  server_->watch(options);
  options.on_progress("weights", 3, 8);
  Reply reply = to.get("/health");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.json(), (json{{"status", "loading"},
                                {"progress", {{"stage", "weights"}, {"done", 3}, {"total", 8}}}}));
  EXPECT_EQ(to.get("/metrics").status, 200);
  EXPECT_EQ(to.post(kCompletions, completion()).json()["error"]["code"], "loading");
  EXPECT_EQ(to.get("/slots").status, 503);

  server_->ready(ids_model(), backend_);
  EXPECT_EQ(to.get("/health").json(), (json{{"status", "ok"}}));
  backend_.hold(true);
  auto stays = client();
  stays.send(TestClient::post_text(kCompletions, completion()));
  backend_.wait_until_started();
  bool finished = false;
  std::thread draining([&] { finished = server_->drain(engine::TimePoint::clock::now() + 20s); });
  EXPECT_EQ(to.reply().status, 0);  // an idle connection is closed
  reply = client().get("/health");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.json()["status"], "draining");
  EXPECT_EQ(reply.headers.at("connection"), "close");
  EXPECT_EQ(client().post(kCompletions, completion()).json()["error"]["code"], "shutting_down");
  backend_.hold(false);
  EXPECT_EQ(stays.reply().status, 200);
  draining.join();
  EXPECT_TRUE(finished);
}

TEST_F(ServerTest, WhatDoesNotEndInTimeIsCutOff) {
  start();
  backend_.hold(true);
  auto whole = client(), stream = client();
  whole.send(TestClient::post_text(kCompletions, completion()));
  stream.send(TestClient::post_text(kCompletions, completion(R"(, "stream": true)")));
  stream.read_until("<6>");
  backend_.wait_until_started(2);
  EXPECT_FALSE(server_->drain(engine::TimePoint::clock::now() + 100ms));
  EXPECT_EQ(whole.reply().status, 503);
  EXPECT_EQ(events(stream.reply().body).back()["error"]["code"], "shutting_down");
}

TEST_F(ServerTest, SaysWhatThereIs) {
  start();
  auto to = client();
  const json models = to.get("/v1/models").json();
  ASSERT_EQ(models["data"].size(), 2u);
  EXPECT_EQ(models["data"][1]["id"], "also-tiny");
  EXPECT_EQ(models["data"][0]["max_model_len"], 64);
  EXPECT_EQ(to.get("/v1/models/also%2Dtiny").json()["id"], "also-tiny");
  EXPECT_EQ(to.get("/v1/models/none").status, 404);
  const json slots = to.get("/slots").json();
  EXPECT_EQ(slots["slots"].size(), 3u);
  EXPECT_EQ(slots["slots"][2]["state"], "free");
  EXPECT_EQ(slots["max_queue"], 7);
  EXPECT_FALSE(to.get("/version").json()["version"].get<std::string>().empty());
}

TEST_F(ServerTest, Measures) {
  start();
  auto to = client();
  to.post(kCompletions, completion());
  backend_.wait_until_idle();  // it counts a request until after its last event
  engine::EngineOptions options;
  server_->watch(options);
  options.on_step({.prefill = true, .tokens = 3, .seconds = 0.01});
  const std::string text = to.get("/metrics").body;
  for (const char* line : {"vllm:num_requests_running{model_name=\"tiny\"} 0",
                           "vllm:time_to_first_token_seconds_count{model_name=\"tiny\"} 1",
                           "vllm:inter_token_latency_seconds_count{model_name=\"tiny\"} 3",
                           "vllm:e2e_request_latency_seconds_count{model_name=\"tiny\"} 1",
                           "vllm:request_generation_tokens_sum{model_name=\"tiny\"} 4",
                           "continuo:step_seconds_count{kind=\"prefill\",model_name=\"tiny\"} 1"})
    EXPECT_THAT(text, HasSubstr(line));
  EXPECT_THAT(text, HasSubstr("vllm:request_success_total{finished_reason=\"length\""));
}

TEST_F(ServerTest, TokenizesAndBack) {
  start({}, text_model());
  auto to = client();
  const json tokens =
      to.post("/tokenize", R"({"prompt": "Hello, wörld", "return_token_strs": true})").json();
  EXPECT_EQ(tokens["count"], tokens["tokens"].size());
  EXPECT_EQ(tokens["token_strs"].size(), tokens["tokens"].size());
  EXPECT_EQ(to.post("/detokenize", json{{"tokens", tokens["tokens"]}}.dump()).json()["prompt"],
            "<|bos|>Hello, wörld");
  const json chat =
      to.post("/tokenize", R"({"messages": [{"role": "user", "content": "x"}]})").json();
  EXPECT_EQ(to.post("/detokenize", json{{"tokens", chat["tokens"]}}.dump()).json()["prompt"],
            "user: x\n>");
  EXPECT_EQ(to.post("/tokenize", "{}").json()["error"]["param"], "prompt");
  EXPECT_EQ(to.post("/detokenize", R"({"tokens": [-1]})").json()["error"]["param"], "tokens[0]");
}

TEST_F(ServerTest, HealthIsReadinessAndHealthLiveIsLiveness) {
  listen();
  EXPECT_EQ(client().get("/health").status, 503) << "loading";
  EXPECT_EQ(client().get("/health/live").status, 200);
  start();
  struct Case {
    engine::Health health;
    const char* status;
    int ready, live;
  };
  for (const auto& [health, status, ready, live] :
       {Case{engine::Health::kOk, "ok", 200, 200},
        Case{engine::Health::kFailing, "failing", 503, 200},
        Case{engine::Health::kOk, "ok", 200, 200}, Case{engine::Health::kHung, "hung", 503, 503}}) {
    backend_.set_health(health);
    const auto said = client().get("/health");
    EXPECT_EQ(said.status, ready) << status;
    EXPECT_EQ(Json::parse(said.body)["status"], status);
    EXPECT_EQ(client().get("/health/live").status, live) << status;
    EXPECT_NE(client()
                  .get("/metrics")
                  .body.find(fmt::format("continuo:engine_healthy{{model_name=\"tiny\"}} {}",
                                         int(ready == 200))),
              std::string::npos)
        << status;
  }
}

}  // namespace
}  // namespace continuo::server
