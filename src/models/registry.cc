#include "models/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/text_config.h"
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

// config.json's own object, then those inside it, the text model's last.
std::vector<ConfigView> levels_of(const nlohmann::json& config, const std::string& where) {
  std::vector<ConfigView> levels{ConfigView(config, where)};
  const size_t count = config_levels(config).size();
  while (levels.size() < count)
    levels.push_back(levels.back().object(text_config_key(levels.back().raw())));
  if (const char* key = text_config_key(levels.back().raw())) {
    levels.back().object(key);  // the error of one that is no object
    levels.back().fail(
        fmt::format("{}: expected at most {} configs inside one another", key, count));
  }
  return levels;
}

// What transformers takes for the text model's model_type where a wrapper's config says none.
std::string text_type_of(const std::string& wrapper) {
  static const std::map<std::string, std::string> kTypes{
      {"llava", "llama"},        {"llava_next", "llama"},       {"llava_onevision", "qwen2"},
      {"vipllava", "llama"},     {"internvl", "qwen2"},         {"mistral3", "mistral"},
      {"gemma3", "gemma3_text"}, {"qwen3_5", "qwen3_5_text"},   {"aya_vision", "cohere2"},
      {"lfm2_vl", "lfm2"},       {"granite_speech", "granite"}, {"cohere2_vision", "cohere2"}};
  const auto place = kTypes.find(wrapper);
  return place == kTypes.end() ? "" : place->second;
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

// The text_config of multimodal checkpoints gives little more than what differs from its class's
// defaults. A config that stands alone has to say its sizes.
struct TextSizes {
  const char *model_type, *sizes;
};
constexpr TextSizes kTextSizes[] = {
    {"llama", R"({"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "vocab_size": 32000, "max_position_embeddings": 2048})"},
    {"mistral", R"({"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "vocab_size": 32000, "max_position_embeddings": 131072})"}};

void add_sizes(nlohmann::json& text) {
  for (const auto& [model_type, sizes] : kTextSizes) {
    if (text.value("model_type", nlohmann::json()) != model_type) continue;
    nlohmann::json whole = nlohmann::json::parse(sizes);
    whole.update(text);
    text = std::move(whole);
  }
}

// A config as what is around it completes it: the head is the wrapper's, and so is the word on
// whether it is tied.
nlohmann::json completed(const std::vector<ConfigView>& levels, size_t index) {
  nlohmann::json text = levels[index].raw();
  if (index == 0) return text;
  const char* const kTied = "tie_word_embeddings";
  const auto outer =
      std::find_if(levels.begin(), levels.end(), [&](const auto& each) { return each.has(kTied); });
  if (outer < levels.begin() + std::ptrdiff_t(index)) text[kTied] = outer->raw().at(kTied);
  const std::string type = text_type_of(levels[index - 1].text("model_type", ""));
  if (!type.empty() && !levels[index].has("model_type") && !levels[index].has("architectures"))
    text["model_type"] = type;
  add_sizes(text);
  return text;
}

void check_wrapper(const ConfigView& config) {
  if (config.is("model_type", "paligemma"))
    config.fail("model_type \"paligemma\" is not supported: it attends both ways in the prompt");
}

std::string described(const std::vector<ConfigView>& levels) {
  std::string text = fmt::format("model_type \"{}\"", levels.front().text("model_type", ""));
  if (levels.size() > 1)
    text += fmt::format(" with a text model of model_type \"{}\"",
                        levels.back().text("model_type", ""));
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
    const std::vector<ConfigView> levels = levels_of(config, where);
    check_wrapper(levels.front());
    for (size_t i = levels.size(); i-- > 0;) {
      const nlohmann::json text = completed(levels, i);
      const ConfigView view(text, levels[i].where());
      if (const Family* family = find_family(view)) return family->create(view, std::move(has));
    }
    return error(ErrorCode::kUnsupported, "{}: {} is not supported; supported: {}", where,
                 described(levels), supported());
  } catch (const ConfigError& failure) {
    return error(ErrorCode::kInvalidArgument, "{}", failure.what());
  } catch (const CheckFailure& failure) {
    return error(ErrorCode::kInvalidArgument, "{}: {}", where, failure.what());
  }
}

}  // namespace continuo::models
