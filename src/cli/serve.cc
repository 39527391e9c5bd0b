// continuo serve: an OpenAI-compatible server over one model.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/serve.h"
#include "engine/context_warning.h"
#include "engine/engine.h"
#include "engine/text_model.h"
#include "server/log.h"
#include "server/server.h"

namespace continuo::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kKeyVariable = "CONTINUO_API_KEY";

struct Options {
  ModelOptions model;
  engine::EngineOptions engine;
  ServeOptions serve;
  double idle_s = 75, head_s = 20, read_s = 60, write_s = 30, request_s = 0;
  int64_t body_mib = 16, address_mib = 64;
};

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

// A name for the model where the user gives none: of its folder, or its file without ".gguf".
std::string name_of(const std::string& path) {
  std::filesystem::path file = std::filesystem::path(path).lexically_normal();
  if (!file.has_filename()) file = file.parent_path();
  return file.extension() == ".gguf" ? file.stem().string() : file.filename().string();
}

// One line a stage and a tenth of it, at the longest every other second.
class ProgressLines {
 public:
  void operator()(const std::string& stage, int64_t done, int64_t total) {
    const auto now = Clock::now();
    const bool ends = done == total && total > 0;
    if (stage == stage_ && !ends && now - last_ < std::chrono::seconds(2)) return;
    stage_ = stage;
    last_ = now;
    server::log(spdlog::level::info, "loading",
                {{"stage", stage}, {"done", done}, {"total", total}});
  }

 private:
  std::string stage_;
  Clock::time_point last_;
};

Result<std::unique_ptr<Served>> load(const Options& options, server::Server& server) {
  auto out = std::make_unique<Served>();
  CONTINUO_TRY(out->model, engine::load_model(options.model.load));
  server::ServedModel& served = out->served;
  auto text = engine::text_model(out->model->checkpoint);
  if (text.ok()) {
    served.tokenizer = std::move(text->tokenizer);
    served.chat = std::move(text->chat);
  } else if (text.error().code != ErrorCode::kNotFound) {
    return std::move(text).error();
  }
  engine::EngineOptions engine_options = options.engine;
  engine_options.context = options.model.context;
  engine_options.on_progress = ProgressLines();
  watch(engine_options, server);
  CONTINUO_TRY(out->engine,
               engine::Engine::create(*out->model, served.tokenizer ? &*served.tokenizer : nullptr,
                                      engine_options));
  const std::string warning =
      engine::context_warning(out->model->model->facts(), out->engine->options().context);
  if (!warning.empty()) server::log(spdlog::level::warn, "context", {{"warning", warning}});
  served.names = options.serve.server.model_names;
  served.created = std::time(nullptr);
  served.vocab = out->model->model->facts().vocab;
  served.context = out->engine->options().context;
  served.slots = out->engine->options().slots;
  if (served.tokenizer)
    served.longest_text = server::longest_text(*served.tokenizer, served.context);
  served.defaults =
      server::sampling_defaults(out->model->checkpoint.generation_config, served.vocab);
  return out;
}

// CLI11 takes an empty variable for an absent one, and the server would ask for no key.
Result<int> check_environment() {
  if (const char* key = std::getenv(kKeyVariable); key != nullptr && *key == '\0')
    return error(ErrorCode::kInvalidArgument, "${}: expected an API key, got an empty variable",
                 kKeyVariable);
  return kSuccess;
}

void add_server_options(CLI::App& command, Options& options) {
  server::ServerOptions& server = options.serve.server;
  command.add_option("--host", server.host, "address to listen at; 0.0.0.0 = every one")
      ->capture_default_str();
  command.add_option("--port", server.port, "0 = any that is free")->capture_default_str();
  command.add_option("--served-model-name", server.model_names,
                     "the model's names in requests (default: of its folder or file)");
  command
      .add_option("--api-key", server.api_keys,
                  "key that requests must bring; may be repeated. Other users of the machine "
                  "see the command line: better set $CONTINUO_API_KEY")
      ->allow_extra_args(false)
      ->envname(kKeyVariable);
  command.add_option("--tls-cert", server.tls_certificate,
                     "serve HTTPS with the certificate in this PEM file, which its issuers' may "
                     "follow; a renewed one is read at the next start");
  command.add_option("--tls-key", server.tls_key,
                     "the certificate's private key, a PEM file without a password");
  command.add_flag("--insecure", server.insecure, "listen at a public address without a key");
  command
      .add_option("--allowed-host", server.allowed_hosts,
                  "without a key: a host that requests may name besides localhost and the address "
                  "itself; may be repeated")
      ->allow_extra_args(false);
  command
      .add_option("--trusted-proxy", server.trusted_proxies,
                  "address or network of a proxy whose X-Forwarded-For says who the client is; may "
                  "be repeated")
      ->allow_extra_args(false);
  command
      .add_option("--cors-origin", server.cors_origins,
                  "origin whose pages may read answers, or *; may be repeated (default: none)")
      ->allow_extra_args(false);
  command.add_option("--max-connections", server.max_connections, "more are closed at once")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--max-body-mib", options.body_mib, "longest request")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      .add_option("--max-address-connections", server.max_address_connections,
                  "of one client address; not counted for this machine and for trusted proxies")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--max-address-mib", options.address_mib,
                  "bodies that one client address may have read at once")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--min-body-rate", server.min_body_rate,
                  "bytes a second, after 5 s, at which a body must arrive; 0 = any")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  const auto seconds = [&](const char* name, double& value, const char* help) {
    command.add_option(name, value, help)->check(CLI::Range(0.0, 1e6))->capture_default_str();
  };
  seconds("--idle-timeout", options.idle_s, "seconds a connection is kept without a request");
  seconds("--head-timeout", options.head_s, "seconds in which a request's head must have arrived");
  seconds("--read-timeout", options.read_s, "seconds in which a request must have arrived");
  seconds("--write-timeout", options.write_s, "seconds a client may take nothing of an answer");
  seconds("--request-timeout", options.request_s, "seconds an answer may take, 0 = any");
  seconds("--drain-seconds", options.serve.drain_s, "seconds that answers may take after SIGTERM");
  seconds("--step-timeout", options.engine.step_timeout_s,
          "seconds a step may take before the process ends with status 2, or 20 times its slowest "
          "run if that is more; 0 = any");
  command.add_flag("--log-json", options.serve.log_json, "log lines are JSON objects");
  command.add_flag("--log-prompts", server.log_prompts, "log what is asked; never done otherwise");
}

}  // namespace

void add_serve(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("serve", "An OpenAI-compatible server");
  add_model_options(*command, options->model);
  command->add_option("--slots", options->engine.slots, "sequences at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--max-queue", options->engine.max_queue, "requests waiting; more get 429")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--prefill-columns", options->engine.prefill_columns,
                   "prompt tokens of the widest step, 0 = what suits the device")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command
      ->add_option("--prefill-budget", options->engine.prefill_budget,
                   "prompt tokens between two steps of the running answers, 0 = one widest step")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  add_deterministic_option(*command, options->engine);
  add_server_options(*command, *options);
  command->callback([options, &exit_code] {
    server::ServerOptions& server = options->serve.server;
    if (server.model_names.empty()) server.model_names = {name_of(options->model.load.model)};
    server.max_body_bytes = static_cast<uint64_t>(options->body_mib) << 20;
    server.max_bodies_bytes = std::max(server.max_bodies_bytes, server.max_body_bytes);
    server.idle_timeout = milliseconds(options->idle_s);
    server.max_address_bytes =
        std::max(static_cast<uint64_t>(options->address_mib) << 20, server.max_body_bytes);
    server.head_timeout = milliseconds(options->head_s);
    server.read_timeout = milliseconds(options->read_s);
    server.write_timeout = milliseconds(options->write_s);
    server.request_timeout = milliseconds(options->request_s);
    Result<int> result = check_environment();
    if (result.ok())
      result = serve(options->serve,
                     [&](server::Server& listening) { return load(*options, listening); });
    exit_code = result.ok() ? *result : fail(result.error());
  });
}

}  // namespace continuo::cli
