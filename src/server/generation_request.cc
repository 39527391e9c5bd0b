#include "server/generation_request.h"

#include <cmath>

#include "server/limits.h"
#include "server/owned_json.h"

namespace continuo::server {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

void set(double& to, std::optional<double> from) {
  if (from) to = *from;
}
void set(int64_t& to, std::optional<int64_t> from) {
  if (from) to = *from;
}
void set(bool& to, std::optional<bool> from) {
  if (from) to = *from;
}

void parse_stops(Fields& fields, const ServedModel& model, engine::Request& request) {
  request.stops = fields.strings("stop", kMaxStrings, kMaxStringBytes);
  if (!request.stops.empty())
    if (auto tokenizer = tokenizer_of(model, "stop"); !tokenizer.ok())
      fields.fail(tokenizer.error());
  if (auto ids = fields.token_ids("stop_token_ids", model.vocab, kMaxStopIds))
    request.stop_ids = *ids;
  set(request.ignore_eos, fields.boolean("ignore_eos"));
  set(request.skip_special, fields.boolean("skip_special_tokens"));
}

// {"50256": -100}: keys are token ids.
void parse_logit_bias(Fields& fields, const ServedModel& model, engine::SamplingParams& sampling) {
  const Json* biases = fields.find("logit_bias");
  if (biases == nullptr) return;
  if (!biases->is_object())
    return fields.fail("logit_bias", "an object from token id to bias", *biases);
  fields.bound("logit_bias", kMaxBiases, "biases");
  if (!fields.ok()) return;
  for (const auto& [key, bias] : biases->items()) {
    const bool digits =
        !key.empty() && key.size() <= 9 && key.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || std::stoll(key) >= model.vocab)
      return fields.fail("logit_bias", fmt::format("keys that are token ids below {}", model.vocab),
                         Json(key));
    if (!bias.is_number() || std::fabs(bias.get<double>()) > 100)
      return fields.fail("logit_bias", "biases from -100 to 100", bias);
    sampling.logit_bias[static_cast<int32_t>(std::stoll(key))] = bias.get<float>();
  }
}

// llama.cpp's names; its default breakers.
void parse_dry(Fields& fields, const ServedModel& model, engine::SamplingParams& sampling) {
  set(sampling.dry_multiplier, fields.number("dry_multiplier"));
  set(sampling.dry_base, fields.number("dry_base"));
  set(sampling.dry_allowed_length, fields.integer("dry_allowed_length", 0, kNoLimit));
  set(sampling.dry_penalty_last_n, fields.integer("dry_penalty_last_n", -1, kNoLimit));
  std::vector<std::string> breakers =
      fields.strings("dry_sequence_breakers", kMaxStrings, kMaxStringBytes);
  const bool given = fields.find("dry_sequence_breakers") != nullptr;
  if (given && !breakers.empty())
    if (auto tokenizer = tokenizer_of(model, "dry_sequence_breakers"); !tokenizer.ok())
      fields.fail(tokenizer.error());
  if (!given) breakers = {"\n", ":", "\"", "*"};
  if (sampling.dry_multiplier > 0 && model.tokenizer && fields.ok())
    sampling.dry_breakers = tokens_containing(*model.tokenizer, breakers);
}

// As vLLM: each word as it is, and as it stands after a space where that is another first token of
// as many tokens.
void parse_bad_words(Fields& fields, const ServedModel& model, engine::SamplingParams& sampling) {
  constexpr size_t kMostWords = 64, kLongestWord = 256;  // of bytes
  const std::vector<std::string> words = fields.strings("bad_words", kMostWords, kLongestWord);
  if (words.empty() || !fields.ok()) return;
  const auto tokenizer = tokenizer_of(model, "bad_words");
  if (!tokenizer.ok()) return fields.fail(tokenizer.error());
  for (const std::string& word : words) {
    const std::string bare = word.substr(std::min(word.find_first_not_of(' '), word.size()));
    if (bare.empty())
      return fields.fail("bad_words", "words that are more than spaces", Json(word));
    std::vector<std::vector<int32_t>> spellings;
    for (const std::string& text : {bare, " " + bare}) {
      auto ids = (*tokenizer)->encode(text, {.add_special = false});
      if (!ids.ok()) return fields.fail(ids.error());
      const bool differs = spellings.empty() || (ids->size() == spellings[0].size() &&
                                                 ids->front() != spellings[0].front());
      if (!ids->empty() && differs) spellings.push_back(std::move(ids).value());
    }
    for (auto& spelling : spellings) sampling.bad_words.push_back(std::move(spelling));
  }
}

void parse_sampling(Fields& fields, const ServedModel& model, engine::SamplingParams& sampling) {
  sampling = model.defaults.sampling;
  set(sampling.temperature, fields.number("temperature"));
  set(sampling.top_k, fields.integer("top_k", -1, kNoLimit));
  if (sampling.top_k == -1) sampling.top_k = 0;  // vLLM: all
  set(sampling.top_p, fields.number("top_p"));
  set(sampling.min_p, fields.number("min_p"));
  set(sampling.repetition_penalty, fields.number("repetition_penalty"));
  set(sampling.frequency_penalty, fields.number("frequency_penalty"));
  set(sampling.presence_penalty, fields.number("presence_penalty"));
  parse_logit_bias(fields, model, sampling);
  set(sampling.min_tokens, fields.integer("min_tokens", 0, kNoLimit));
  parse_bad_words(fields, model, sampling);
  parse_dry(fields, model, sampling);
  const auto seed = fields.integer("seed", std::numeric_limits<int64_t>::min(), kNoLimit);
  if (seed && *seed != -1) sampling.seed = static_cast<uint64_t>(*seed);  // vLLM: -1 is none
  if (fields.ok())
    if (Status status = engine::check(sampling, model.vocab); !status.ok())
      fields.fail(status.error());
}

void parse_streaming(Fields& fields, GenerationRequest& out) {
  set(out.stream, fields.boolean("stream"));
  const Json* options = fields.find("stream_options");
  if (options == nullptr) return;
  if (!options->is_object()) return fields.fail("stream_options", "an object", *options);
  if (!out.stream)
    return fields.fail(
        error(ErrorCode::kInvalidArgument, "stream_options: only where stream is true"));
  Fields inner(*options, "stream_options.");
  set(out.include_usage, inner.boolean("include_usage"));
  set(out.continuous_usage, inner.boolean("continuous_usage_stats"));
  if (!inner.ok()) fields.fail(inner.status().error());
}

// What would change the answer if it were ignored, and is not there.
void refuse_unsupported(Fields& fields) {
  fields.refuse("prompt_logprobs", {false}, "log probabilities of the prompt are not supported");
  fields.refuse("use_beam_search", {false}, "beam search is not supported");
  fields.refuse("truncate_prompt_tokens", {}, "prompts are not cut");
  fields.refuse("allowed_token_ids", {}, "not supported; see logit_bias");
  fields.refuse("length_penalty", {1}, "beam search is not supported");
  fields.refuse("thinking_token_budget", {}, "a limit on thinking is not supported");
  fields.refuse("logits_processors", {Json::array()}, "processors of logits are not supported");
  // llama.cpp's: each with the value at which it does nothing.
  fields.refuse("repeat_penalty", {1}, "not supported; see repetition_penalty");
  fields.refuse("typical_p", {1}, "typical sampling is not supported");
  fields.refuse("tfs_z", {1}, "tail-free sampling is not supported");
  fields.refuse("top_n_sigma", {-1, 0}, "sampling by standard deviations is not supported");
  fields.refuse("xtc_probability", {0}, "excluding top choices is not supported");
  fields.refuse("dynatemp_range", {0}, "dynamic temperature is not supported");
  fields.refuse("mirostat", {0}, "Mirostat is not supported");
  fields.refuse("n_predict", {-1}, "not supported; see max_tokens");
  fields.refuse("samplers", {}, "the order of samplers is fixed");
  for (const char* name : {"guided_json", "guided_regex", "guided_choice", "guided_grammar",
                           "structured_outputs", "json_schema", "grammar"})
    fields.refuse(name, {}, "structured output is not supported");
  if (const Json* format = fields.find("response_format")) {
    const bool text = format->is_object() && format->value("type", Json()) == "text";
    if (!text)
      fields.fail(error(ErrorCode::kUnsupported,
                        "response_format: structured output is not supported, only "
                        "{{\"type\": \"text\"}}"));
  }
}

// What all prompts of a request ask of the engine together.
Status check_total(const GenerationRequest& out) {
  const engine::Request& request = out.request;
  const size_t prompts = out.prompts.size();
  if (prompts * static_cast<size_t>(request.choices) > kMaxPrompts)
    return error(ErrorCode::kInvalidArgument,
                 "n: wanted at most {} answers of all prompts together, got {} of each of {}",
                 kMaxPrompts, request.choices, prompts);
  const size_t copied = request.sampling.dry_breakers.size() * sizeof(int32_t);
  if (copied * prompts > kMaxCopied)
    return error(ErrorCode::kInvalidArgument,
                 "dry_sequence_breakers: wanted at most {} bytes of token ids for all prompts "
                 "together, got {} for each of {}",
                 kMaxCopied, copied, prompts);
  return ok_status();
}

}  // namespace

Status check_prompt(const ServedModel& model, size_t tokens, const std::string& field) {
  if (static_cast<int64_t>(tokens) < model.context) return ok_status();
  return error(ErrorCode::kInvalidArgument,
               "{}: this model's context is {} tokens, of which a prompt may take {}; got {}",
               field, model.context, model.context - 1, tokens);
}

std::variant<GenerationRequest, ApiError> read_generation(std::string_view body, bool chat,
                                                          const ServedModel& model,
                                                          engine::TimePoint deadline,
                                                          const text::Stop* stop) {
  const auto json = parse_body(body);
  if (!json.ok()) return api_error(json.error());
  if (auto wrong = check_model_name(model, **json)) return std::move(*wrong);
  auto request = chat ? parse_chat(**json, model, deadline, stop)
                      : parse_completion(**json, model, deadline, stop);
  if (!request.ok()) return api_error(request.error());
  return std::move(request).value();
}

Status parse_common(Fields& fields, const ServedModel& model, int64_t max_tokens_default,
                    GenerationRequest& out) {
  engine::Request& request = out.request;
  refuse_unsupported(fields);
  fields.string("user", kMaxName);  // not used, but never more than it should be
  fields.bound("metadata", kMaxMetadata, "pairs");
  parse_streaming(fields, out);
  set(request.choices, fields.integer("n", 1, std::min(kMaxChoices, model.slots)));
  request.max_tokens = model.defaults.max_tokens.value_or(max_tokens_default);
  set(request.max_tokens, fields.integer("max_tokens", 1, kNoLimit));
  if (out.chat) set(request.max_tokens, fields.integer("max_completion_tokens", 1, kNoLimit));
  parse_sampling(fields, model, request.sampling);
  parse_stops(fields, model, request);
  set(out.return_token_ids, fields.boolean("return_token_ids"));
  if (!model.tokenizer) out.return_token_ids = true;
  set(out.tokens_as_ids, fields.boolean("return_tokens_as_token_ids"));
  set(out.keep_stop, fields.boolean("include_stop_str_in_output"));
  if (out.chat) {
    const bool wanted = fields.boolean("logprobs").value_or(false);
    const auto top = fields.integer("top_logprobs", 0, kMaxLogprobs);
    if (top.value_or(0) > 0 && !wanted)
      fields.fail(error(ErrorCode::kInvalidArgument, "top_logprobs: only where logprobs is true"));
    if (wanted) request.top_logprobs = top.value_or(0);
  } else {
    set(request.top_logprobs, fields.integer("logprobs", 0, kMaxLogprobs));
  }
  CONTINUO_RETURN_IF_ERROR(fields.status());

  CONTINUO_RETURN_IF_ERROR(check_total(out));
  // An answer may fill the context, never more.
  if (request.max_tokens == 0 || request.max_tokens > model.context)
    request.max_tokens = model.context;
  if (request.sampling.min_tokens > request.max_tokens)
    return error(ErrorCode::kInvalidArgument, "min_tokens: expected at most max_tokens, {}, got {}",
                 request.max_tokens, request.sampling.min_tokens);
  return ok_status();
}

}  // namespace continuo::server
