// Server: listens and answers, from the moment it is made: while the model is loaded with 503 and
// its progress at /health, then from the engine, at last with 503 while it drains.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "server/backend.h"
#include "server/options.h"
#include "server/served_model.h"

namespace continuo::server {

// Any thread. One thread of its own does all reading and writing, two more parse.
class Server {
 public:
  // kUnavailable: the address cannot be had, with its reason.
  static Result<std::unique_ptr<Server>> listen(ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string address() const;  // "127.0.0.1:8080", "[::1]:8080"
  std::string url() const;      // "http://127.0.0.1:8080", "https://..." with a certificate

  // Has /health and the metrics follow an engine that is made with these options.
  void watch(engine::EngineOptions& options);
  // From now on requests are taken. `backend` outlives the server's use of it.
  void ready(ServedModel model, Backend& backend);
  // Takes no more requests, waits until all are answered or until `limit`, then ends the rest.
  // Returns whether all ended by themselves.
  bool drain(engine::TimePoint limit);
  // Ends every connection at once; then the backend may go, and after it this.
  void stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace continuo::server
