#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <future>
#include <thread>

#include "base/guard.h"
#include "cli/command.h"
#include "cli/serve.h"
#include "server/log.h"

namespace continuo::cli {
namespace {

using Clock = std::chrono::steady_clock;

void announce(const Served& loaded, const server::Server& server, Clock::time_point start) {
  const engine::EngineStats stats = loaded.engine->stats();
  server::log(spdlog::level::info, "ready",
              {{"address", server.url()},
               {"model", loaded.served.name()},
               {"slots", stats.slots},
               {"context", stats.context},
               {"compiled", stats.compiled},
               {"from_cache", stats.loaded},
               {"seconds", std::chrono::duration<double>(Clock::now() - start).count()}});
}

// SIGINT and SIGTERM are blocked in every thread and taken here. 0: none came in `wait`.
int next_signal(const sigset_t& signals, std::chrono::milliseconds wait) {
  const timespec time{wait.count() / 1000, wait.count() % 1000 * 1'000'000};
  return std::max(0, sigtimedwait(&signals, nullptr, &time));
}

// A second signal ends the process at once, whatever the first one's drain is doing.
void leave_on_next_signal(const sigset_t& signals) {
  std::thread([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    std::_Exit(kInterrupted);
  }).detach();
}

// As many connections as the system lets us have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// The step thread may be waiting for a device that does not come back; nothing can free it.
void leave_unless_stopped(engine::Engine& engine) {
  if (engine.stop(Clock::now() + std::chrono::seconds(1))) return;
  server::log(spdlog::level::critical, "stuck", {{"error", "the device does not answer"}});
  std::_Exit(kFailed);
}

}  // namespace

void watch(engine::EngineOptions& options, server::Server& server) {
  constexpr std::chrono::seconds kLastWords{1};
  server.watch(options);
  options.on_hang = [kLastWords](const std::string& what) {
    const Status told = guarded([&]() -> Status {
      server::log(spdlog::level::critical, "hung", {{"error", what}, {"exit_code", kFailed}});
      std::thread([kLastWords] {
        std::this_thread::sleep_for(kLastWords);
        std::_Exit(kFailed);
      }).detach();
      return ok_status();
    });
    if (!told.ok()) std::_Exit(kFailed);
  };
}

Result<int> serve(const ServeOptions& options,
                  const std::function<Result<std::unique_ptr<Served>>(server::Server&)>& load) {
  const auto start = Clock::now();
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  server::set_up_log(options.log_json);

  CONTINUO_TRY(const auto server, server::Server::listen(options.server));
  server::log(spdlog::level::info, "listening", {{"address", server->url()}});
  auto loading = std::async(std::launch::async, [&] { return load(*server); });
  while (loading.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    if (next_signal(signals, std::chrono::milliseconds(50)) != 0)
      std::_Exit(kSuccess);  // nothing was promised to anybody; a compilation cannot be stopped
  CONTINUO_TRY(const std::unique_ptr<Served> loaded, loading.get());
  loaded->backend = std::make_unique<server::EngineBackend>(*loaded->engine);
  // However this ends, the server stops asking for what was loaded before that goes.
  const std::shared_ptr<void> stop(nullptr, [&](void*) { server->stop(); });
  server->ready(loaded->served, *loaded->backend);
  announce(*loaded, *server, start);

  while (next_signal(signals, std::chrono::hours(1)) == 0) {
  }
  leave_on_next_signal(signals);
  server::log(spdlog::level::info, "draining", {{"seconds", options.drain_s}});
  const bool finished = server->drain(
      Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(options.drain_s * 1000)));
  server->stop();
  server::log(spdlog::level::info, "stopped", {{"all_answered", finished}});
  leave_unless_stopped(*loaded->engine);
  return kSuccess;
}

}  // namespace continuo::cli
