// Endpoints that say what there is: models, slots, health, metrics, version, files.
#include <algorithm>

#include "server/assets.h"
#include "server/fields.h"
#include "server/handlers.h"

namespace continuo::server {
namespace {

Json describe(const ServedModel& model, const std::string& name) {
  return {{"id", name},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "continuo"},
          {"root", model.name()},
          {"parent", nullptr},
          {"max_model_len", model.context},
          {"text", model.tokenizer.has_value()},
          {"chat", model.chat.has_value()}};
}

Json describe(const engine::SlotStats& slot, size_t index) {
  const bool busy = slot.request != 0;
  const double rate = slot.seconds > 0 ? static_cast<double>(slot.generated) / slot.seconds : 0;
  return {{"id", index},
          {"state", !busy             ? "free"
                    : slot.prefilling ? "prefill"
                                      : "decode"},
          {"request", slot.request},  // 0: free
          {"choice", slot.choice},
          {"prompt_tokens", slot.prompt_tokens},
          {"position", slot.position},
          {"generated", slot.generated},
          {"seconds", slot.seconds},
          {"tokens_per_second", rate}};
}

Json describe(const App& app, const engine::EngineStats& stats) {
  const auto now = std::chrono::steady_clock::now();
  Json slots = Json::array();
  for (size_t i = 0; i < stats.slot.size(); ++i) slots.push_back(describe(stats.slot[i], i));
  return {
      {"model", app.model->name()},
      {"context", stats.context},
      {"running", stats.running},
      {"waiting", stats.waiting},
      {"max_queue", app.backend->max_queue()},
      {"prompt_tokens_per_second", app.prompted.per_second(now)},
      {"tokens_per_second", app.generated.per_second(now)},
      {"kv",
       {{"positions", stats.kv_positions},
        {"capacity", stats.kv_capacity},
        {"bytes_per_token", stats.kv_bytes_per_token}}},
      {"recurrent",
       {{"bytes_per_slot", stats.recurrent_bytes_per_slot},
        {"bytes_in_use", stats.recurrent_bytes_per_slot * stats.running}}},
      {"memory", {{"weight_bytes", stats.weight_bytes}, {"state_bytes", stats.state_bytes}}},
      {"totals",
       {{"prompt_tokens", stats.prompt_tokens},
        {"generated_tokens", stats.generated_tokens},
        {"discarded_tokens", stats.discarded_tokens},
        {"steps", stats.steps},
        {"prefill_steps", stats.prefill_steps},
        {"failed_steps", stats.failed_steps},
        {"compiled", stats.compiled},
        {"loaded", stats.loaded},
        {"compile_seconds", stats.compile_seconds}}},
      {"slots", std::move(slots)},
  };
}

engine::Health engine_health(const App& app) {
  const bool loaded = app.lifecycle.phase() != Phase::kLoading && app.backend != nullptr;
  return loaded ? app.backend->stats().health : engine::Health::kOk;
}

// "org%2Fname" -> "org/name"; what is no escape stays.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto hex = [&](size_t at) {
      return at < text.size() ? std::string_view("0123456789abcdef")
                                    .find(static_cast<char>(std::tolower(text[at])))
                              : std::string_view::npos;
    };
    if (text[i] == '%' && hex(i + 1) != std::string_view::npos &&
        hex(i + 2) != std::string_view::npos) {
      out += static_cast<char>(hex(i + 1) * 16 + hex(i + 2));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::optional<ApiError> unavailable(const App& app) {
  switch (app.lifecycle.phase()) {
    case Phase::kLoading:
      return ApiError{503, "The model is being loaded; /health says how far it is.", "loading", "",
                      2};
    case Phase::kDraining:
      return ApiError{503, "The server is shutting down.", "shutting_down", "", 5};
    case Phase::kReady:
      break;
  }
  return std::nullopt;
}

ApiError busy() { return {503, "Too many requests wait to be read.", "busy", "", 1}; }

asio::awaitable<void> models(App& app, Exchange& exchange) {
  Json data = Json::array();
  for (const std::string& name : app.model->names) data.push_back(describe(*app.model, name));
  Json body = {{"object", "list"}, {"data", std::move(data)}};
  co_await exchange.respond(200, std::move(body));
}

asio::awaitable<void> one_model(App& app, Exchange& exchange) {
  constexpr std::string_view kPrefix = "/v1/models/";
  Json wanted = {{"model", percent_decoded(exchange.path().substr(kPrefix.size()))}};
  if (auto wrong = check_model_name(*app.model, wanted)) {
    co_await exchange.respond(std::move(*wrong));
  } else {
    Json body = describe(*app.model, wanted["model"].get<std::string>());
    co_await exchange.respond(200, std::move(body));
  }
}

asio::awaitable<void> slots(App& app, Exchange& exchange) {
  Json body = describe(app, app.backend->stats());
  co_await exchange.respond(200, std::move(body));
}

// Readiness: whether requests should be sent here.
asio::awaitable<void> health(App& app, Exchange& exchange) {
  const Phase phase = app.lifecycle.phase();
  const engine::Health engine = engine_health(app);
  Json body = {{"status", "ok"}};
  if (engine == engine::Health::kFailing) body["status"] = "failing";
  if (engine == engine::Health::kHung) body["status"] = "hung";
  if (phase == Phase::kDraining) body["status"] = "draining";
  if (phase == Phase::kLoading) {
    const Lifecycle::Progress progress = app.lifecycle.progress();
    body["status"] = "loading";
    body["progress"] = {
        {"stage", progress.stage}, {"done", progress.done}, {"total", progress.total}};
  }
  const bool ready = phase == Phase::kReady && engine == engine::Health::kOk;
  co_await exchange.respond(ready ? 200 : 503, std::move(body));
}

// Liveness: whether the process is worth keeping. Loading, draining and failing pass; a hang does
// not.
asio::awaitable<void> live(App& app, Exchange& exchange) {
  const bool hung = engine_health(app) == engine::Health::kHung;
  Json body = {{"status", hung ? "hung" : "ok"}};
  co_await exchange.respond(hung ? 503 : 200, std::move(body));
}

asio::awaitable<void> metrics(App& app, Exchange& exchange) {
  std::optional<engine::EngineStats> stats;
  if (app.lifecycle.phase() != Phase::kLoading) stats = app.backend->stats();
  std::string text = app.metrics.text(stats ? &*stats : nullptr, app.connections);
  std::string type = "text/plain; version=0.0.4; charset=utf-8";
  co_await exchange.respond(200, std::move(type), std::move(text));
}

asio::awaitable<void> version(App&, Exchange& exchange) {
  Json body = {{"version", CONTINUO_VERSION}};
  co_await exchange.respond(200, std::move(body));
}

asio::awaitable<void> asset(App&, Exchange& exchange) {
  const std::string name = exchange.path() == "/" ? "index.html" : exchange.path().substr(1);
  const auto found = std::find_if(assets().begin(), assets().end(),
                                  [&](const Asset& each) { return each.name == name; });
  Headers headers;
  headers.emplace_back("ETag", found->etag);
  headers.emplace_back("Cache-Control", "no-cache");  // ask again, and be told 304
  headers.emplace_back("Content-Security-Policy",
                       "default-src 'self'; img-src 'self' data:; object-src 'none'; "
                       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                       "require-trusted-types-for 'script'; trusted-types dompurify");
  headers.emplace_back("Referrer-Policy", "no-referrer");
  if (exchange.header("If-None-Match") == found->etag) {
    co_await exchange.respond(304, std::string(), std::string(), std::move(headers));
  } else {
    std::string type(found->type), data(found->data);
    co_await exchange.respond(200, std::move(type), std::move(data), std::move(headers));
  }
}

}  // namespace continuo::server
