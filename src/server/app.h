// App: what all connections of a server share.
#pragma once

#include <cstdint>
#include <optional>

#include "server/backend.h"
#include "server/client_address.h"
#include "server/intake.h"
#include "server/lifecycle.h"
#include "server/metrics.h"
#include "server/options.h"
#include "server/rate.h"
#include "server/served_model.h"
#include "server/tls.h"
#include "server/workers.h"

namespace continuo::server {

// Owned by Server. Unless said otherwise for the io thread.
struct App {
  explicit App(ServerOptions given)
      : options(std::move(given)), metrics(options.model_names.front()) {}

  const ServerOptions options;
  Metrics metrics;           // any thread
  Lifecycle lifecycle;       // any thread
  Rate generated, prompted;  // any thread
  Workers workers;

  // Set before Phase::kReady, then left alone: read them only after asking for the phase.
  std::optional<ServedModel> model;
  Backend* backend = nullptr;

  int64_t connections = 0;
  int64_t exchanges = 0;  // requests being answered
  Intake intake{options};
  // Set before the first connection.
  Networks proxies;
  std::optional<TlsContext> tls;
};

}  // namespace continuo::server
