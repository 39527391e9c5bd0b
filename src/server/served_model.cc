#include "server/served_model.h"

#include <algorithm>

#include "server/fields.h"
#include "server/limits.h"

namespace continuo::server {

SamplingDefaults sampling_defaults(const nlohmann::json& config, int64_t vocab) {
  SamplingDefaults defaults;
  if (!config.is_object()) return defaults;
  const auto number = [&config](const char* name) -> std::optional<double> {
    const auto value = config.find(name);
    if (value == config.end() || !value->is_number()) return std::nullopt;
    return value->get<double>();
  };
  // Each on its own, so that one value out of range does not cost the others.
  const auto take = [&](const char* name, auto set) {
    const std::optional<double> value = number(name);
    if (!value) return;
    engine::SamplingParams changed = defaults.sampling;
    set(changed, *value);
    if (engine::check(changed, vocab).ok()) defaults.sampling = changed;
  };
  take("temperature", [](auto& params, double value) { params.temperature = value; });
  take("top_p", [](auto& params, double value) { params.top_p = value; });
  take("min_p", [](auto& params, double value) { params.min_p = value; });
  take("repetition_penalty", [](auto& params, double value) { params.repetition_penalty = value; });
  take("top_k", [](auto& params, double value) {
    if (value >= 0 && value < 1e9) params.top_k = static_cast<int64_t>(value);
  });
  if (const auto most = number("max_new_tokens"); most && *most >= 1 && *most < 1e9)
    defaults.max_tokens = static_cast<int64_t>(*most);
  return defaults;
}

std::optional<ApiError> check_model_name(const ServedModel& model, const Json& body) {
  Fields fields(body);
  const std::optional<std::string> wanted = fields.string("model", kMaxName);
  if (const Status status = fields.status(); !status.ok()) return api_error(status.error());
  if (!wanted || std::find(model.names.begin(), model.names.end(), *wanted) != model.names.end())
    return std::nullopt;
  return ApiError{404,
                  fmt::format("The model {} does not exist; this server has \"{}\".",
                              shown(Json(*wanted)), model.name()),
                  "model_not_found", "model"};
}

Result<const text::Tokenizer*> tokenizer_of(const ServedModel& model, const std::string& field) {
  if (model.tokenizer) return &*model.tokenizer;
  return error(ErrorCode::kInvalidArgument,
               "{}: this model has no tokenizer; it takes and gives token ids", field);
}

size_t longest_text(const text::Tokenizer& tokenizer, int64_t context) {
  constexpr size_t kShrinks = 4;
  size_t longest = 4;  // a character that becomes one unknown token
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto bytes = tokenizer.token_bytes(id), written = tokenizer.token(id);
    longest = std::max({longest, bytes ? bytes->size() : 0, written ? written->size() : 0});
  }
  return longest * kShrinks * static_cast<size_t>(context);
}

Status check_text(const ServedModel& model, size_t bytes, const std::string& field) {
  if (model.longest_text == 0 || bytes <= model.longest_text) return ok_status();
  return error(
      ErrorCode::kInvalidArgument,
      "{}: wanted at most {} bytes, no more can fit into this model's context of {} tokens; "
      "got {}",
      field, model.longest_text, model.context, bytes);
}

std::vector<int32_t> tokens_containing(const text::Tokenizer& tokenizer,
                                       const std::vector<std::string>& breakers) {
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::optional<std::string> bytes = tokenizer.token_bytes(id);
    if (bytes && std::any_of(breakers.begin(), breakers.end(), [&](const std::string& breaker) {
          return bytes->find(breaker) != std::string::npos;
        }))
      ids.push_back(id);
  }
  return ids;
}

}  // namespace continuo::server
