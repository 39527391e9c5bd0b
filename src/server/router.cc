#include "server/router.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include "server/assets.h"
#include "server/fields.h"
#include "server/handlers.h"

namespace continuo::server {
namespace {

std::array<unsigned char, SHA256_DIGEST_LENGTH> digest(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> out{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data());
  return out;
}

// In a time that depends on neither key: digests have one length, and all keys are compared.
bool key_is_right(const std::vector<std::string>& keys, const std::string& given) {
  const auto got = digest(given);
  bool right = false;
  for (const std::string& key : keys)
    right |= CRYPTO_memcmp(digest(key).data(), got.data(), got.size()) == 0;
  return right;
}

std::optional<ApiError> check_key(const App& app, const Exchange& exchange) {
  if (app.options.api_keys.empty()) return std::nullopt;
  std::string given = exchange.header("Authorization");
  constexpr std::string_view kScheme = "bearer ";
  const bool bearer = given.size() >= kScheme.size() &&
                      std::equal(kScheme.begin(), kScheme.end(), given.begin(),
                                 [](char wanted, char got) { return wanted == std::tolower(got); });
  given = bearer ? given.substr(kScheme.size()) : exchange.header("X-Api-Key");
  if (!given.empty() && key_is_right(app.options.api_keys, given)) return std::nullopt;
  return ApiError{401,
                  given.empty() ? "No API key was given: send the header "
                                  "\"Authorization: Bearer KEY\"."
                                : "The API key is wrong.",
                  "invalid_api_key"};
}

// A page of another origin may send a form or plain text without asking, but not JSON.
std::optional<ApiError> check_content(const Exchange& exchange) {
  std::string type = exchange.header("Content-Type");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (type == "application/json") return std::nullopt;
  return ApiError{415, "Content-Type: wanted application/json, got " + shown(Json(type)),
                  "unsupported_media_type"};
}

bool matches(const Route& route, const std::string& path) {
  if (route.prefix) return path.starts_with(route.path) && path.size() > std::strlen(route.path);
  return path == route.path;
}

bool matches_method(const Route& route, const std::string& method) {
  return method == route.method || (method == "HEAD" && std::string_view(route.method) == "GET");
}

const Route kAsset = {.method = "GET", .path = "/", .handler = asset, .open = true};

bool is_asset(const std::string& path) {
  const std::string_view name = path == "/" ? "index.html" : std::string_view(path).substr(1);
  return std::any_of(assets().begin(), assets().end(),
                     [name](const Asset& each) { return each.name == name; });
}

}  // namespace

const std::vector<Route>& routes() {
  static const std::vector<Route> all = {
      {.method = "POST", .path = "/v1/chat/completions", .handler = chat_completions},
      {.method = "POST", .path = "/v1/completions", .handler = completions},
      {.method = "POST", .path = "/tokenize", .handler = tokenize},
      {.method = "POST", .path = "/detokenize", .handler = detokenize},
      {.method = "GET", .path = "/v1/models", .handler = models},
      {.method = "GET", .path = "/v1/models/", .handler = one_model, .prefix = true},
      {.method = "GET", .path = "/slots", .handler = slots},
      {.method = "GET", .path = "/health", .handler = health, .open = true},
      {.method = "GET", .path = "/health/live", .handler = live, .open = true},
      {.method = "GET", .path = "/metrics", .handler = metrics, .open = true},
      {.method = "GET", .path = "/version", .handler = version, .open = true},
  };
  return all;
}

Routed route(const App& app, const Exchange& exchange) {
  Routed out;
  for (const Route& each : routes()) {
    if (!matches(each, exchange.path())) continue;
    if (matches_method(each, exchange.method())) out.route = &each;
    out.allow += (out.allow.empty() ? "" : ", ") + std::string(each.method);
  }
  if (out.route == nullptr && is_asset(exchange.path())) {
    out.allow = "GET";
    if (matches_method(kAsset, exchange.method())) out.route = &kAsset;
  }
  if (out.route == nullptr) {
    if (out.allow.empty())
      out.error =
          ApiError{404, "There is nothing at " + shown(Json(exchange.path())) + ".", "not_found"};
    else
      out.error = ApiError{405, "This path takes " + out.allow + ".", "method_not_allowed"};
    return out;
  }
  if (!out.route->open) out.error = check_key(app, exchange);
  if (!out.error && out.route->posted()) out.error = check_content(exchange);
  if (!out.error && !out.route->open) out.error = unavailable(app);
  return out;
}

}  // namespace continuo::server
