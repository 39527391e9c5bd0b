#include "models/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "models/families.h"

namespace continuo::models {

const std::vector<const Family*>& families() {
  // One family a line.
  // clang-format off
  static const std::vector<const Family*> kAll{
      &kLlama,
      &kDeepSeek,
      &kGptOss,
      &kInternLm3,
      &kMistral,
      &kMixtral,
      &kOlmoe,
      &kQwen2,
      &kQwen2Moe,
      &kQwen3,
      &kQwen3Moe,
      &kSeedOss,
      &kGemma,
      &kGemma2,
      &kGemma3Text,
      &kSmolLm3,
      &kOlmo2,
      &kOlmo3,
      &kArcee,
      &kErnie45,
      &kExaone4,
      &kCohere,
      &kCohere2,
      &kPhi3,
      &kGlm4,
      &kStableLm,
      &kStarcoder2,
      &kGranite,
      &kMiniCpm3,
      &kMamba,
      &kFalconMamba,
      &kMamba2,
      &kJamba,
      &kBamba,
      &kFalconH1,
      &kGraniteMoeHybrid,
      &kNemotronH,
      &kZamba2,
      &kPlamo2,
      &kKimiLinear,
      &kLfm2,
      &kMiniMax,
      &kOlmoHybrid,
      &kQwen35,
      &kQwen3Next,
      &kRecurrentGemma,
      &kRwkv7,
  };
  // clang-format on
  return kAll;
}

namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The checkpoints of Mamba's own library name no model_type.
std::string model_type_of(const ConfigView& config) {
  if (config.has("model_type") || !config.has("ssm_cfg")) return config.text("model_type", "");
  return config.object("ssm_cfg").text("layer", "Mamba1") == "Mamba2" ? "mamba2" : "mamba";
}

const Family* find_family(const ConfigView& config) {
  const std::string model_type = model_type_of(config);
  for (const Family* family : families())
    if (contains(family->model_types, model_type)) return family;
  for (const std::string& architecture : config.strings("architectures"))
    for (const Family* family : families())
      if (contains(family->architectures, architecture)) return family;
  return nullptr;
}

// The text model's config as its wrapper completes it: the head is the wrapper's, and so is the
// word on whether it is tied.
nlohmann::json text_config(const ConfigView& root, const ConfigView& nested) {
  nlohmann::json text = nested.raw();
  const char* const kTied = "tie_word_embeddings";
  if (root.has(kTied)) text[kTied] = root.raw().at(kTied);
  return text;
}

std::string supported() {
  std::vector<std::string> types;
  for (const Family* family : families())
    types.insert(types.end(), family->model_types.begin(), family->model_types.end());
  std::sort(types.begin(), types.end());
  std::string text;
  for (const std::string& type : types) text += (text.empty() ? "" : ", ") + type;
  return text;
}

}  // namespace

Result<std::unique_ptr<Model>> create(const nlohmann::json& config, HasTensor has,
                                      const std::string& where) {
  try {
    const ConfigView root(config, where);
    const ConfigView nested = root.object("text_config");
    if (const Family* family = find_family(nested); family != nullptr) {
      const nlohmann::json text = text_config(root, nested);
      return family->create(ConfigView(text, nested.where()), std::move(has));
    }
    if (const Family* family = find_family(root); family != nullptr)
      return family->create(root, std::move(has));
    return error(ErrorCode::kUnsupported, "{}: model_type \"{}\" is not supported; supported: {}",
                 where, root.text("model_type", ""), supported());
  } catch (const ConfigError& failure) {
    return error(ErrorCode::kInvalidArgument, "{}", failure.what());
  } catch (const CheckFailure& failure) {
    return error(ErrorCode::kInvalidArgument, "{}: {}", where, failure.what());
  }
}

}  // namespace continuo::models
