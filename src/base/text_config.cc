#include "base/text_config.h"

#include <nlohmann/json.hpp>

namespace continuo {

using nlohmann::json;

namespace {

// thinker_config first: the Omni models also have a talker beside it.
constexpr const char* kKeys[] = {"thinker_config", "text_config", "llm_config", "language_config"};
constexpr size_t kMostLevels = 4;  // the deepest published config has three

}  // namespace

const char* text_config_key(const json& config) {
  if (!config.is_object()) return nullptr;
  for (const char* key : kKeys)
    if (const auto place = config.find(key); place != config.end() && !place->is_null()) return key;
  return nullptr;
}

std::vector<const json*> config_levels(const json& config) {
  std::vector<const json*> levels{&config};
  while (levels.size() < kMostLevels) {
    const char* key = text_config_key(*levels.back());
    if (key == nullptr || !levels.back()->at(key).is_object()) break;
    levels.push_back(&levels.back()->at(key));
  }
  return levels;
}

}  // namespace continuo
