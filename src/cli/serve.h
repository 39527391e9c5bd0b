// The life of `continuo serve` around a model: listen, load, answer, drain, leave. Apart from the
// command, so that a test can serve an engine whose device hangs.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/loaded_model.h"
#include "server/server.h"

namespace continuo::cli {

struct ServeOptions {
  server::ServerOptions server;
  double drain_s = 30;
  bool log_json = false;
};

// What stands behind a server; members are destroyed in reverse order.
struct Served {
  std::unique_ptr<engine::LoadedModel> model;
  server::ServedModel served;
  std::unique_ptr<engine::Engine> engine;
  std::unique_ptr<server::EngineBackend> backend;
};

// Has the server follow an engine made with these options; where a step hangs, the process ends
// with kFailed after clients have had a second to hear of it.
void watch(engine::EngineOptions& options, server::Server& server);

// Until SIGINT or SIGTERM; the exit code. `load` runs on a thread of its own while the server
// already listens, and sets everything but `backend`.
Result<int> serve(const ServeOptions& options,
                  const std::function<Result<std::unique_ptr<Served>>(server::Server&)>& load);

}  // namespace continuo::cli
