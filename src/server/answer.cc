#include "server/answer.h"

namespace continuo::server {
namespace {

using engine::FinishReason;

const char* finish_text(FinishReason reason) {
  return reason == FinishReason::kCancelled ? "abort" : engine::to_string(reason);
}

std::string as_event(const Json& json) { return "data: " + dump(json) + "\n\n"; }

}  // namespace

Answer::Answer(const GenerationRequest& request, const ServedModel& model, const std::string& id,
               int64_t created)
    : request_(request),
      model_(model),
      id_((request.chat ? "chatcmpl-" : "cmpl-") + id),
      created_(created),
      choices_(request.prompts.size() * static_cast<size_t>(request.request.choices)),
      open_(choices_.size()) {}

Answer::Choice& Answer::choice(size_t prompt, const engine::Event& event) {
  return choices_[prompt * static_cast<size_t>(request_.request.choices) +
                  static_cast<size_t>(event.choice)];
}

bool Answer::add(size_t prompt, const engine::Event& event) {
  Choice& to = choice(prompt, event);
  if (event.token) {
    // A stream needs no more than what chunk() shows.
    if (!request_.stream) to.ids.push_back(*event.token);
    if (!request_.stream && event.logprobs) to.logprobs.push_back(*event.logprobs);
    ++to.completion_tokens;
  }
  if (!request_.stream) to.text += event.text;
  if (!event.finish) return complete();
  to.finish = event.finish;
  to.completion_tokens = event.completion_tokens;
  if (!event.stop.empty()) {
    to.stop_reason = event.stop;
    if (request_.keep_stop && !request_.stream) to.text += event.stop;
  }
  const bool failed = *event.finish == FinishReason::kError ||
                      *event.finish == FinishReason::kNotFinite ||
                      *event.finish == FinishReason::kCancelled ||
                      (*event.finish == FinishReason::kDeadline && event.completion_tokens == 0);
  if (failed && !failure_) failure_ = event;
  --open_;
  return complete();
}

Json Answer::envelope(const char* object) const {
  return {{"id", id_}, {"object", object}, {"created", created_}, {"model", model_.name()}};
}

std::string Answer::chunk(size_t prompt, const engine::Event& event) {
  Choice& from = choice(prompt, event);
  std::string text = event.text;
  if (event.finish && request_.keep_stop) text += event.stop;
  const bool shows_token = event.token && (event.logprobs || request_.return_token_ids);
  if (text.empty() && !shows_token && !event.finish) return "";
  const bool only_text = from.begun && !shows_token && !event.finish && !request_.continuous_usage;
  if (!only_text) return as_event(chunk_json(prompt, event, text));
  if (from.before_text.empty()) {
    // Where the text stands: no quotation mark inside a string looks like this.
    const std::string hole = "\":\"\\u0001\"";
    const std::string around = as_event(chunk_json(prompt, event, "\x01"));
    const size_t at = around.find(hole) + hole.find(':') + 1;
    from.before_text = around.substr(0, at);
    from.after_text = around.substr(at + hole.size() - hole.find(':') - 1);
  }
  return from.before_text + dump(Json(text)) + from.after_text;
}

Json Answer::chunk_json(size_t prompt, const engine::Event& event, const std::string& text) {
  Choice& from = choice(prompt, event);
  Json out = envelope(request_.chat ? "chat.completion.chunk" : "text_completion");
  Json choice = {{"index", &from - choices_.data()}};
  if (request_.chat) {
    Json delta = Json::object();
    if (!from.begun) delta["role"] = "assistant";
    if (!text.empty() || !from.begun) delta["content"] = text;
    choice["delta"] = std::move(delta);
  } else {
    choice["text"] = text;
  }
  choice["logprobs"] = event.token && event.logprobs
                           ? logprobs({*event.token}, {*event.logprobs}, from.offset)
                           : Json();
  choice["finish_reason"] = event.finish ? Json(finish_text(*event.finish)) : Json();
  if (event.finish) choice["stop_reason"] = from.stop_reason;
  if (request_.return_token_ids) {
    if (!from.begun) (request_.chat ? out : choice)["prompt_token_ids"] = request_.prompts[prompt];
    choice["token_ids"] = event.token ? Json::array({*event.token}) : Json::array();
  }
  out["choices"] = Json::array({std::move(choice)});
  if (request_.continuous_usage)
    out["usage"] = usage();
  else if (request_.include_usage)
    out["usage"] = nullptr;
  from.begun = true;
  return out;
}

std::string Answer::end_of_stream() const {
  std::string text;
  if (request_.include_usage) {
    Json out = envelope(request_.chat ? "chat.completion.chunk" : "text_completion");
    out["choices"] = Json::array();
    out["usage"] = usage();
    text = as_event(out);
  }
  return text + "data: [DONE]\n\n";
}

Json Answer::whole() const {
  Json out = envelope(request_.chat ? "chat.completion" : "text_completion");
  out["choices"] = Json::array();
  for (size_t i = 0; i < choices_.size(); ++i) out["choices"].push_back(whole_choice(i));
  out["usage"] = usage();
  if (request_.chat && request_.return_token_ids)
    out["prompt_token_ids"] = request_.prompts.front();
  return out;
}

Json Answer::whole_choice(size_t index) const {
  const Choice& from = choices_[index];
  Json out = {{"index", index}};
  if (request_.chat)
    out["message"] = {{"role", "assistant"}, {"content", from.text}, {"refusal", nullptr}};
  else
    out["text"] = from.text;
  int64_t offset = 0;
  out["logprobs"] = request_.request.top_logprobs < 0 || from.logprobs.size() != from.ids.size()
                        ? Json()
                        : logprobs(from.ids, from.logprobs, offset);
  out["finish_reason"] = from.finish ? Json(finish_text(*from.finish)) : Json();
  out["stop_reason"] = from.stop_reason;
  if (request_.return_token_ids) {
    out["token_ids"] = from.ids;
    if (!request_.chat)
      out["prompt_token_ids"] =
          request_.prompts[index / static_cast<size_t>(request_.request.choices)];
  }
  return out;
}

int64_t Answer::prompt_tokens() const {
  int64_t sum = 0;
  for (const auto& prompt : request_.prompts) sum += static_cast<int64_t>(prompt.size());
  return sum;
}

int64_t Answer::completion_tokens() const {
  int64_t sum = 0;
  for (const Choice& each : choices_) sum += each.completion_tokens;
  return sum;
}

Json Answer::usage() const {
  const int64_t prompt = prompt_tokens(), completion = completion_tokens();
  return {{"prompt_tokens", prompt},
          {"completion_tokens", completion},
          {"total_tokens", prompt + completion}};
}

std::string Answer::finish_reasons() const {
  std::string out;
  for (const Choice& each : choices_) {
    if (!out.empty()) out += ',';
    out += each.finish ? finish_text(*each.finish) : "none";
  }
  return out;
}

}  // namespace continuo::server
