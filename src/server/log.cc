#include "server/log.h"

#include <spdlog/formatter.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>

namespace continuo::server {
namespace {

std::atomic<bool> json_lines{false};

std::string time_text(spdlog::log_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::milliseconds>(time);
  const std::time_t seconds = spdlog::log_clock::to_time_t(whole);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  return fmt::format("{}.{:03}Z", text, whole.time_since_epoch().count() % 1000);
}

// A payload that log() wrote is a JSON object already; others are plain messages.
class JsonFormatter : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& line, spdlog::memory_buf_t& to) override {
    Json out = {{"time", time_text(line.time)},
                {"level", std::string(spdlog::level::to_string_view(line.level).data())}};
    const std::string payload(line.payload.data(), line.payload.size());
    Json fields = payload.starts_with('{') ? Json::parse(payload, nullptr, false) : Json();
    if (fields.is_object())
      out.update(fields);
    else
      out["message"] = payload;
    const std::string text = dump(out) + "\n";
    to.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

// What needs no quotes: visible ASCII, so that a client's bytes stay inside their field and the log
// stays UTF-8.
bool is_plain(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c <= '~' && c != '"' && c != '\\' && c != '=';
  });
}

// "name=value", the value as JSON where it is not plain.
void append_plain(std::string& out, const std::string& name, const Json& value) {
  out.append(" ").append(name).append("=");
  if (value.is_string() && is_plain(value.get_ref<const std::string&>()))
    out.append(value.get<std::string>());
  else
    out.append(dump(value));
}

}  // namespace

void set_up_log(bool json) {
  json_lines = json;
  if (json) spdlog::set_formatter(std::make_unique<JsonFormatter>());
}

void log(spdlog::level::level_enum level, const char* event, const Json& fields) {
  if (json_lines) {
    Json line = {{"event", event}};
    line.update(fields);
    return spdlog::log(level, "{}", dump(line));
  }
  std::string line = event;
  for (const auto& [name, value] : fields.items()) append_plain(line, name, value);
  spdlog::log(level, "{}", line);
}

}  // namespace continuo::server
