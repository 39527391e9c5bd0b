// `continuo serve` around an engine whose device stops answering: what clients and the exit say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "cli/command.h"
#include "cli/serve.h"
#include "engine/engine_fake_runner_test.h"
#include "server/test_client.h"

namespace continuo::cli {
namespace {

using Clock = std::chrono::steady_clock;
using testing::HasSubstr;

constexpr int64_t kSlots = 3, kContext = 48;

// An engine whose collect() never returns from call `hangs_at` on.
Result<std::unique_ptr<Served>> load_hanging(server::Server& server, double step_timeout_s,
                                             int hangs_at) {
  engine::EngineOptions options;
  options.slots = kSlots;
  options.context = kContext;
  options.step_timeout_s = step_timeout_s;
  watch(options, server);
  auto runner = std::make_unique<engine::FakeRunner>(kSlots);
  runner->on_call = [hangs_at, calls = 0](const std::string& call) mutable {
    if (call == "collect" && ++calls == hangs_at)
      std::this_thread::sleep_for(std::chrono::hours(1));
  };
  auto out = std::make_unique<Served>();
  CONTINUO_TRY(
      out->engine,
      engine::Engine::create(
          engine::EngineParts{std::move(runner), nullptr, {}, engine::kFakeVocab}, options));
  out->served.names = {"hanging"};
  out->served.vocab = engine::kFakeVocab;
  out->served.context = kContext;
  out->served.slots = kSlots;
  return out;
}

// A server in a process of its own, whose end is its exit code.
class ServeLifeTest : public testing::Test {
 protected:
  ~ServeLifeTest() override {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  void start(double step_timeout_s, int hangs_at) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    child_ = fork();
    ASSERT_GE(child_, 0);
    if (child_ == 0) {
      ServeOptions options;
      options.server.port = 0;
      options.server.model_names = {"hanging"};
      options.drain_s = 0.2;
      const auto code = serve(options, [&](server::Server& server) {
        const std::string address = server.address() + "\n";
        if (write(ends[1], address.data(), address.size()) < 0) _exit(99);
        return load_hanging(server, step_timeout_s, hangs_at);
      });
      _exit(code.ok() ? *code : 98);
    }
    close(ends[1]);
    for (char c = 0; read(ends[0], &c, 1) == 1 && c != '\n';) address_ += c;
    close(ends[0]);
    for (int i = 0; i < 1000 && client().get("/health").status != 200; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  server::TestClient client() const { return server::TestClient(address_); }
  // The exit code; -1: it has not ended within ten seconds.
  int wait() {
    for (int i = 0; i < 1000; ++i) {
      int status = -1;
      if (waitpid(child_, &status, WNOHANG) == child_) {
        child_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return -1;
  }
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
  static constexpr const char* kBody =
      R"({"prompt": [5, 6, 7], "max_tokens": 9, "temperature": 0})";

  pid_t child_ = -1;
  std::string address_;
};

TEST_F(ServeLifeTest, AHangAnswersTheClientsAndEndsTheProcess) {
  start(0.5, 8);  // in the second request: the first one has three steps
  const auto fine = client().post("/v1/completions", R"({"prompt": [5], "max_tokens": 3})");
  ASSERT_EQ(fine.status, 200) << fine.body;
  const auto asked = Clock::now();
  const auto answer = client().post("/v1/completions", kBody);
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, HasSubstr("the device does not answer"));
  EXPECT_GT(seconds_since(asked), 0.4);
  const auto ended = Clock::now();
  const auto ready = client().get("/health");
  EXPECT_EQ(ready.status, 503);
  EXPECT_THAT(ready.body, HasSubstr("hung"));
  EXPECT_EQ(client().get("/health/live").status, 503);
  EXPECT_EQ(client().post("/v1/completions", kBody).status, 503);
  EXPECT_EQ(wait(), kFailed);
  EXPECT_LT(seconds_since(ended), 2.0);
}

// No verdict yet: SIGTERM comes before it.
TEST_F(ServeLifeTest, ATermWhileAStepHangsEndsTheProcess) {
  start(60, 3);
  std::thread asking([&] { EXPECT_EQ(client().post("/v1/completions", kBody).status, 503); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const auto told = Clock::now();
  kill(child_, SIGTERM);
  EXPECT_EQ(wait(), kFailed);
  EXPECT_LT(seconds_since(told), 5.0);
  asking.join();
}

}  // namespace
}  // namespace continuo::cli
