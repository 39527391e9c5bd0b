// A server over a FakeBackend, on a free port.
#pragma once

#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "server/fake_backend_test.h"
#include "server/served_model_test.h"
#include "server/server.h"
#include "server/test_client.h"

namespace continuo::server {

class ServerTest : public ::testing::Test {
 protected:
  void start(ServerOptions options = {}, ServedModel model = ids_model()) {
    listen(std::move(options));
    server_->ready(std::move(model), backend_);
  }
  void listen(ServerOptions options = {}) {
    options.port = 0;
    options.model_names = {"tiny"};
    auto server = Server::listen(std::move(options));
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(server).value();
  }
  void TearDown() override {
    if (server_) server_->stop();
  }
  TestClient client() const { return TestClient(server_->address()); }

  static std::string completion(const std::string& more = "") {
    return R"({"model": "tiny", "prompt": [5, 6, 7], "max_tokens": 4)" + more + "}";
  }
  static constexpr const char* kCompletions = "/v1/completions";

  FakeBackend backend_;
  std::unique_ptr<Server> server_;
};

}  // namespace continuo::server
