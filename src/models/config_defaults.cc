#include "models/config_defaults.h"

#include <nlohmann/json.hpp>

namespace continuo::models {

using nlohmann::json;

std::unique_ptr<Model> with_defaults(const ConfigView& config, const char* defaults,
                                     const CreateModel& create) {
  const json known = json::parse(defaults, nullptr, false);
  check(known.is_object(), "with_defaults", "wanted a JSON object, got {}", defaults);
  json completed = config.raw();
  for (const auto& [key, value] : known.items())
    if (!completed.contains(key)) completed[key] = value;
  return create(ConfigView(completed, config.where()));
}

}  // namespace continuo::models
