#include "models/layer_types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace continuo::models {

std::vector<std::string> read_layer_types(const ConfigView& config, const Keys& keys,
                                          int64_t layers, const std::vector<std::string>& known) {
  std::vector<std::string> types = config.strings(keys);
  if (!config.has(keys)) return types;
  if (int64_t(types.size()) != layers)
    config.fail(
        fmt::format("{}: wanted one a layer ({}), got {}", keys.describe(), layers, types.size()));
  for (const std::string& type : types)
    if (std::find(known.begin(), known.end(), type) == known.end())
      config.fail(fmt::format("{}: wanted one of {}, got \"{}\"", keys.describe(),
                              fmt::join(known, ", "), type));
  return types;
}

std::vector<std::string> every_nth_full(int64_t layers, int64_t interval) {
  std::vector<std::string> types;
  for (int64_t i = 0; i < layers; ++i)
    types.push_back((i + 1) % interval == 0 ? "full_attention" : "linear_attention");
  return types;
}

}  // namespace continuo::models
