// Bodies of /v1/chat/completions, and of /tokenize where it is given messages.
#include "server/generation_request.h"
#include "server/limits.h"
#include "server/owned_json.h"

namespace continuo::server {
namespace {

// Parts of type text, joined by a line break as vLLM does for templates that want a string.
Status join_parts(Json& content, const std::string& path) {
  if (content.size() > kMaxParts)
    return error(ErrorCode::kInvalidArgument, "{}: wanted at most {} parts, got {}", path,
                 kMaxParts, content.size());
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const Json& part = content[i];
    const std::string name = fmt::format("{}[{}]", path, i);
    if (!part.is_object())
      return error(ErrorCode::kInvalidArgument, "{}: wanted an object, got {}", name, shown(part));
    Fields fields(part, name + ".");
    const std::string type = fields.string("type").value_or("");
    const auto words = fields.string("text");
    CONTINUO_RETURN_IF_ERROR(fields.status());
    if (type != "text" || !words)
      return error(ErrorCode::kInvalidArgument,
                   "{}: wanted a part of type \"text\" with its text, got type {}", name,
                   shown(Json(type)));
    if (i > 0) text += '\n';
    text += *words;
  }
  take_apart(content);
  content = std::move(text);
  return ok_status();
}

// OpenAI writes a call's arguments as JSON text, templates want what it says.
void open_tool_calls(Json& message) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || !calls->is_array()) return;
  for (Json& call : *calls) {
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) continue;
    const auto arguments = call["function"].find("arguments");
    if (arguments == call["function"].end() || !arguments->is_string()) continue;
    auto opened = parse_body(arguments->get_ref<const std::string&>());
    if (opened.ok()) *arguments = opened->release();
  }
}

Result<OwnedJson> read_messages(const Json* given) {
  if (given == nullptr || !given->is_array() || given->empty())
    return error(ErrorCode::kInvalidArgument, "messages: wanted a list of at least one, got {}",
                 given == nullptr ? "none" : shown(*given));
  if (given->size() > kMaxMessages)
    return error(ErrorCode::kInvalidArgument, "messages: wanted at most {} of them, got {}",
                 kMaxMessages, given->size());
  OwnedJson messages = OwnedJson::copy_of(*given);
  for (size_t i = 0; i < messages->size(); ++i) {
    Json& message = (*messages)[i];
    const std::string path = fmt::format("messages[{}]", i);
    if (!message.is_object())
      return error(ErrorCode::kInvalidArgument, "{}: wanted an object, got {}", path,
                   shown(message));
    Fields fields(message, path + ".");
    fields.string("name", kMaxName);
    fields.bound("tool_calls", kMaxToolCalls, "calls");
    if (!fields.string("role", kMaxName) && fields.ok()) fields.fail("role", "a string", Json());
    CONTINUO_RETURN_IF_ERROR(fields.status());
    const auto content = message.find("content");
    if (content == message.end()) {
      message["content"] = nullptr;
    } else if (content->is_array()) {
      CONTINUO_RETURN_IF_ERROR(join_parts(*content, path + ".content"));
    } else if (!content->is_string() && !content->is_null()) {
      return error(ErrorCode::kInvalidArgument,
                   "{}.content: wanted a string or a list of parts, got {}", path, shown(*content));
    }
    open_tool_calls(message);
  }
  return messages;
}

void refuse_unsupported(Fields& fields) {
  fields.refuse("continue_final_message", {false}, "going on with a message is not supported");
  fields.refuse("chat_template", {}, "the template is the model's own");
  fields.refuse("tool_choice", {"none", "auto"}, "only \"none\" and \"auto\" are supported");
  fields.refuse("functions", {Json::array()}, "calling functions is not supported");
  fields.refuse("function_call", {"none", "auto"}, "calling functions is not supported");
  // With tool_choice "none" the model does not see them.
  const Json* choice = fields.find("tool_choice");
  if (choice == nullptr || *choice != "none")
    fields.refuse("tools", {Json::array()},
                  "calling tools is not supported; only where tool_choice is \"none\"");
  fields.refuse("web_search_options", {}, "searching the web is not supported");
  fields.refuse("documents", {Json::array()}, "documents are not supported; see messages");
  fields.refuse("audio", {}, "only text is supported");
  fields.refuse("modalities", {Json::array({"text"})}, "only text is supported");
}

// chat_template_kwargs and the few fields that templates know by name.
Result<std::string> template_variables(Fields& fields) {
  Json variables = Json::object();
  if (const auto effort = fields.string("reasoning_effort", kMaxName))
    variables["reasoning_effort"] = *effort;
  if (const Json* given = fields.find("chat_template_kwargs")) {
    if (!given->is_object()) {
      fields.fail("chat_template_kwargs", "an object", *given);
    } else {
      const size_t size = dump(*given).size();  // of what may be worth a copy
      if (size > kMaxVariables)
        return error(ErrorCode::kInvalidArgument,
                     "chat_template_kwargs: wanted at most {} bytes as JSON, got {}", kMaxVariables,
                     size);
      for (const auto& [key, value] : given->items()) variables[key] = value;
    }
  }
  CONTINUO_RETURN_IF_ERROR(fields.status());
  return variables.empty() ? std::string() : dump(variables);
}

}  // namespace

Result<RenderedChat> render_chat(const Json& body, const ServedModel& model,
                                 const text::Stop* stop) {
  Fields fields(body);
  refuse_unsupported(fields);
  text::ChatRequest request;
  request.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
  const bool add_special = fields.boolean("add_special_tokens").value_or(false);
  if (const Json* tools = fields.find("tools"); tools != nullptr && !tools->is_array())
    fields.fail("tools", "a list", *tools);
  CONTINUO_RETURN_IF_ERROR(fields.status());
  CONTINUO_TRY(const OwnedJson messages, read_messages(fields.find("messages")));
  CONTINUO_TRY(request.variables, template_variables(fields));
  if (!model.chat)
    return error(ErrorCode::kInvalidArgument,
                 "messages: this model has no chat template; use /v1/completions");
  request.messages = dump(*messages);
  CONTINUO_RETURN_IF_ERROR(check_text(model, request.messages.size(), "messages"));

  RenderedChat out;
  auto text = model.chat->render(request);
  if (!text.ok()) return error(ErrorCode::kInvalidArgument, "messages: {}", text.error().message);
  out.text = std::move(text).value();
  CONTINUO_RETURN_IF_ERROR(check_text(model, out.text.size(), "messages"));
  CONTINUO_TRY(out.ids,
               model.tokenizer->encode(out.text, {.add_special = add_special, .stop = stop}));
  return out;
}

Result<GenerationRequest> parse_chat(const Json& body, const ServedModel& model,
                                     engine::TimePoint deadline, const text::Stop* stop) {
  GenerationRequest out;
  out.chat = true;
  out.request.deadline = deadline;
  CONTINUO_TRY(RenderedChat chat, render_chat(body, model, stop));
  if (chat.ids.empty())
    return error(ErrorCode::kInvalidArgument, "messages: the model's template makes no token");
  CONTINUO_RETURN_IF_ERROR(check_prompt(model, chat.ids.size(), "messages"));
  out.prompts.push_back(std::move(chat.ids));
  out.texts.push_back(std::move(chat.text));
  Fields fields(body);
  CONTINUO_RETURN_IF_ERROR(parse_common(fields, model, 0, out));
  return out;
}

}  // namespace continuo::server
