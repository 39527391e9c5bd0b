#include "text/chat_template.h"

#include <nlohmann/json.hpp>

#include "text/rust.h"
#include "text/tokenizer.h"

namespace continuo::text {
namespace {

using nlohmann::json;
using Sources = std::map<std::string, std::string>;  // by name

struct FreeTemplate {
  void operator()(ContinuoTemplate* handle) const { continuo_template_free(handle); }
};
using Handle = std::unique_ptr<ContinuoTemplate, FreeTemplate>;

Sources from_config(const json* config) {
  Sources sources;
  if (config == nullptr || !config->is_object()) return sources;
  const auto found = config->find("chat_template");
  if (found == config->end()) return sources;
  if (found->is_string()) sources["default"] = found->get<std::string>();
  if (!found->is_array()) return sources;
  for (const json& entry : *found) {
    if (!entry.is_object()) continue;
    const json name = entry.value("name", json()), text = entry.value("template", json());
    if (name.is_string() && text.is_string()) sources[name] = text.get<std::string>();
  }
  return sources;
}

Sources from_gguf(const json* metadata) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  Sources sources;
  if (metadata == nullptr || !metadata->is_object()) return sources;
  for (const auto& [key, value] : metadata->items()) {
    if (!value.is_string() || !key.starts_with(kKey)) continue;
    if (key.size() == kKey.size())
      sources["default"] = value.get<std::string>();
    else if (key[kKey.size()] == '.')
      sources[key.substr(kKey.size() + 1)] = value.get<std::string>();
  }
  return sources;
}

Sources find_sources(const ChatTemplateSource& source) {
  if (!source.jinja.empty()) return {{"default", std::string(source.jinja)}};
  Sources sources = from_config(source.tokenizer_config);
  if (sources.empty()) sources = from_gguf(source.gguf);
  // Some publish only named templates; the only one there is, is the default.
  if (sources.size() == 1) return {{"default", sources.begin()->second}};
  return sources;
}

Result<Handle> compile(const std::string& source) {
  ContinuoTemplate* handle = nullptr;
  rust::Buffer message;
  const int32_t status = continuo_template_new(rust::slice(source), &handle, message.out());
  CONTINUO_RETURN_IF_ERROR(rust::status(status, message));
  return Handle(handle);
}

}  // namespace

struct ChatTemplate::State {
  Handle main;
  Handle tool_use;  // null: main serves both
  std::string source;
  std::map<std::string, std::string> special_tokens;
};

Result<ChatTemplate> ChatTemplate::create(const ChatTemplateSource& source,
                                          const Tokenizer& tokenizer) {
  Sources sources = find_sources(source);
  if (sources.empty() && !tokenizer.default_chat_template().empty())
    sources["default"] = tokenizer.default_chat_template();
  const auto main = sources.find("default"), tool_use = sources.find("tool_use");
  if (main == sources.end())
    return error(ErrorCode::kNotFound, "the model has no chat template{}",
                 sources.empty() ? "" : " named 'default'");
  auto state = std::make_shared<State>();
  state->source = main->second;
  state->special_tokens = tokenizer.special_tokens();
  CONTINUO_TRY(state->main, compile(main->second));
  if (tool_use != sources.end()) {
    CONTINUO_TRY(state->tool_use, compile(tool_use->second));
  }
  return ChatTemplate(std::move(state));
}

Result<std::string> ChatTemplate::render(const ChatRequest& request) const {
  nlohmann::ordered_json variables(state_->special_tokens);
  if (!request.variables.empty()) {
    const auto own = nlohmann::ordered_json::parse(request.variables, nullptr, false);
    if (!own.is_object())
      return error(ErrorCode::kInvalidArgument, "template variables: wanted a JSON object, got {}",
                   own.is_discarded() ? "no JSON" : own.type_name());
    variables.update(own);
  }
  const std::string variables_text = variables.dump();
  const bool with_tools =
      !request.tools.empty() && request.tools != "null" && request.tools != "[]";
  const Handle& handle = with_tools && state_->tool_use ? state_->tool_use : state_->main;
  const ContinuoRender input{
      .messages = rust::slice(request.messages),
      .tools = with_tools ? rust::slice(request.tools) : ContinuoSlice{nullptr, 0},
      .variables = rust::slice(variables_text),
      .now = request.now ? &*request.now : nullptr,
      .add_generation_prompt = request.add_generation_prompt,
  };
  rust::Buffer text, message;
  const int32_t status = continuo_template_render(handle.get(), &input, text.out(), message.out());
  CONTINUO_RETURN_IF_ERROR(rust::status(status, message));
  return text.str();
}

const std::string& ChatTemplate::source() const { return state_->source; }

}  // namespace continuo::text
