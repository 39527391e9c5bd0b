// Bodies of /v1/completions.
#include "server/generation_request.h"
#include "server/limits.h"

namespace continuo::server {
namespace {

constexpr int64_t kDefaultMaxTokens = 16;  // OpenAI's

Status add_text(const std::string& text, const std::string& name, const ServedModel& model,
                text::EncodeOptions options, GenerationRequest& out) {
  CONTINUO_TRY(const text::Tokenizer* tokenizer, tokenizer_of(model, name));
  CONTINUO_RETURN_IF_ERROR(check_text(model, text.size(), name));
  CONTINUO_TRY(auto ids, tokenizer->encode(text, options));
  if (ids.empty())
    return error(ErrorCode::kInvalidArgument, "{}: wanted at least one token, got {}", name,
                 shown(Json(text)));
  CONTINUO_RETURN_IF_ERROR(check_prompt(model, ids.size(), name));
  out.prompts.push_back(std::move(ids));
  out.texts.push_back(text);
  return ok_status();
}

Status add_ids(const Json& array, const std::string& name, const ServedModel& model,
               GenerationRequest& out) {
  CONTINUO_RETURN_IF_ERROR(check_prompt(model, array.size(), name));
  CONTINUO_TRY(auto ids, token_ids(array, name, model.vocab));
  if (ids.empty())
    return error(ErrorCode::kInvalidArgument, "{}: wanted at least one token, got []", name);
  out.prompts.push_back(std::move(ids));
  return ok_status();
}

// A string, a list of strings, a list of token ids, or a list of those.
Status parse_prompts(const Json* prompt, text::EncodeOptions options, const ServedModel& model,
                     GenerationRequest& out) {
  const auto wrong = [](const Json& got) {
    return error(ErrorCode::kInvalidArgument,
                 "prompt: wanted a string, a list of strings, token ids or lists of them, got {}",
                 shown(got));
  };
  if (prompt == nullptr)
    return error(ErrorCode::kInvalidArgument, "prompt: wanted a prompt, got none");
  if (prompt->is_string())
    return add_text(prompt->get<std::string>(), "prompt", model, options, out);
  if (!prompt->is_array() || prompt->empty()) return wrong(*prompt);
  if (prompt->front().is_number()) return add_ids(*prompt, "prompt", model, out);
  if (prompt->size() > kMaxPrompts)
    return error(ErrorCode::kInvalidArgument, "prompt: wanted at most {} prompts, got {}",
                 kMaxPrompts, prompt->size());
  for (size_t i = 0; i < prompt->size(); ++i) {
    const Json& each = (*prompt)[i];
    const std::string name = fmt::format("prompt[{}]", i);
    if (each.is_string()) {
      CONTINUO_RETURN_IF_ERROR(add_text(each.get<std::string>(), name, model, options, out));
    } else if (each.is_array()) {
      CONTINUO_RETURN_IF_ERROR(add_ids(each, name, model, out));
    } else {
      return wrong(each);
    }
  }
  return ok_status();
}

}  // namespace

Result<GenerationRequest> parse_completion(const Json& body, const ServedModel& model,
                                           engine::TimePoint deadline, const text::Stop* stop) {
  GenerationRequest out;
  out.request.deadline = deadline;
  Fields fields(body);
  fields.refuse("echo", {false}, "giving the prompt back is not supported");
  fields.refuse("suffix", {""}, "filling in before a suffix is not supported");
  // Choosing the best of several means computing answers that nobody sees.
  const Json* n = fields.find("n");
  fields.refuse("best_of", {n == nullptr ? Json(1) : *n}, "only the value of n is supported");
  fields.refuse("prompt_embeds", {}, "prompts are text or token ids");
  const text::EncodeOptions options{
      .add_special = fields.boolean("add_special_tokens").value_or(true), .stop = stop};
  CONTINUO_RETURN_IF_ERROR(fields.status());
  CONTINUO_RETURN_IF_ERROR(parse_prompts(fields.find("prompt"), options, model, out));
  CONTINUO_RETURN_IF_ERROR(parse_common(fields, model, kDefaultMaxTokens, out));
  return out;
}

}  // namespace continuo::server
