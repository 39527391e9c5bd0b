#include "checkpoint/quantization_config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text_config.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

// Of `object`, an object under `key`, or nullptr.
const json* member(const json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto place = object.find(key);
  return place != object.end() && place->is_object() ? &*place : nullptr;
}

// Of the config, or of a config inside it on the way to the text model's.
const json* outer_or_nested(const json& config, std::string_view key) {
  for (const json* level : config_levels(config))
    if (const json* own = member(*level, key)) return own;
  return nullptr;
}

// mlx-lm writes the same object under both keys; "quantization" is the older and the sure one.
const json* find_settings(const json& config) {
  for (const char* key : {"quantization", "quantization_config"})
    if (const json* settings = outer_or_nested(config, key); settings && settings->contains("bits"))
      return settings;
  return nullptr;
}

template <size_t N>
Result<int> one_of(const json& settings, const char* key, const std::array<int, N>& allowed) {
  const auto value = settings.find(key);
  if (value != settings.end() && value->is_number_integer()) {
    const auto given = value->get<int64_t>();
    for (int choice : allowed)
      if (given == choice) return choice;
  }
  return error(ErrorCode::kUnsupported, "quantization: wanted {} one of {}, got {}", key,
               json(allowed).dump(),
               value == settings.end() ? "none" : value->dump(-1, ' ', true).substr(0, 80));
}

}  // namespace

bool is_mxfp4(const json& config, std::string_view module) {
  const json* settings = find_settings(config);
  if (settings == nullptr) return false;
  if (const json* own = member(*settings, module)) settings = own;
  const auto mode = settings->find("mode");
  return mode != settings->end() && *mode == "mxfp4";
}

Result<AffineSettings> affine_settings(const json& config, std::string_view module) {
  const json* general = find_settings(config);
  if (general == nullptr)
    return error(ErrorCode::kCorrupt,
                 "the tensor has scales, but config.json has no \"quantization\" with group_size "
                 "and bits");
  const json* settings = general;
  const auto own = general->find(module);
  if (own != general->end() && own->is_boolean() && !own->get<bool>())
    return error(ErrorCode::kCorrupt,
                 "the tensor has scales, but config.json says it is not quantised");
  if (own != general->end() && own->is_object()) settings = &*own;
  const auto mode = settings->find("mode");
  if (mode != settings->end() && *mode != "affine")
    return error(ErrorCode::kUnsupported, "quantization: wanted mode \"affine\", got {}",
                 mode->dump(-1, ' ', true).substr(0, 80));
  AffineSettings out;
  CONTINUO_TRY(out.bits, one_of(*settings, "bits", std::array{2, 3, 4, 5, 6, 8}));
  CONTINUO_TRY(out.group_size, one_of(*settings, "group_size", std::array{32, 64, 128}));
  return out;
}

Status check_quantization(const json& config, const std::string& where) {
  const json* settings = outer_or_nested(config, "quantization_config");
  if (settings == nullptr) return {};
  const auto method = settings->find("quant_method");
  if (method == settings->end() || *method == "mxfp4") return {};
  return error(ErrorCode::kUnsupported,
               "{}: weights quantised with quant_method {} cannot be read; supported: none, "
               "\"mxfp4\", MLX affine, GGUF",
               where, method->dump(-1, ' ', true).substr(0, 80));
}

}  // namespace continuo::checkpoint
