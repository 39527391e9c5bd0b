#include "text/tokenizer.h"

#include <exception>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text_config.h"
#include "text/rust.h"

namespace continuo::text {
namespace {

using nlohmann::json;

struct FreeTokenizer {
  void operator()(ContinuoTokenizer* tokenizer) const { continuo_tokenizer_free(tokenizer); }
};
using Handle = std::unique_ptr<ContinuoTokenizer, FreeTokenizer>;

struct FreeIds {
  ContinuoIds ids{nullptr, 0};
  ~FreeIds() { continuo_ids_free(ids); }
};

// Nothing may be thrown through Rust: it goes on from here.
struct Asked {
  const Stop* stop;
  std::exception_ptr thrown = nullptr;
};

bool ask(void* context) noexcept {
  Asked& asked = *static_cast<Asked*>(context);
  try {
    return (*asked.stop)();
  } catch (...) {
    asked.thrown = std::current_exception();
    return true;
  }
}

// The files around a vocabulary, for the Rust library.
std::string file_context(const TokenizerSource& source) {
  json context = json::object();
  const auto add = [&context](const char* name, const json* file) {
    if (file != nullptr && file->is_object()) context[name] = *file;
  };
  add("tokenizer_config", source.tokenizer_config);
  add("special_tokens_map", source.special_tokens_map);
  add("added_tokens", source.added_tokens);
  add("config", source.config);
  if (!source.merges.empty()) context["merges"] = source.merges;
  return context.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<Handle> make_handle(const TokenizerSource& source) {
  ContinuoTokenizer* tokenizer = nullptr;
  rust::Buffer message;
  if (!source.tokenizer_json.empty()) {
    const int32_t status =
        continuo_tokenizer_from_json(rust::slice(source.tokenizer_json),
                                     rust::slice(file_context(source)), &tokenizer, message.out());
    CONTINUO_RETURN_IF_ERROR(rust::status(status, message));
    return Handle(tokenizer);
  }
  if (!source.file_name.empty()) {
    const int32_t status =
        continuo_tokenizer_from_file(rust::slice(source.file_name), rust::slice(source.file),
                                     rust::slice(file_context(source)), &tokenizer, message.out());
    CONTINUO_RETURN_IF_ERROR(rust::status(status, message));
    return Handle(tokenizer);
  }
  if (source.gguf == nullptr || !source.gguf->contains("tokenizer.ggml.model"))
    return error(ErrorCode::kNotFound,
                 "the model has no tokenizer: expected tokenizer.json, tokenizer.model, "
                 "tiktoken.model, tekken.json, tokenizer.jsonl, rwkv_vocab_*.txt or vocab.json and "
                 "merges.txt in its folder, "
                 "or tokenizer.ggml.* in a GGUF file");
  const std::string text = source.gguf->dump(-1, ' ', false, json::error_handler_t::replace);
  const int32_t status = continuo_tokenizer_from_gguf(rust::slice(text), &tokenizer, message.out());
  CONTINUO_RETURN_IF_ERROR(rust::status(status, message));
  return Handle(tokenizer);
}

Result<json> read_info(const ContinuoTokenizer* tokenizer) {
  rust::Buffer text, message;
  const int32_t status = continuo_tokenizer_info(tokenizer, text.out(), message.out());
  CONTINUO_RETURN_IF_ERROR(rust::status(status, message));
  return json::parse(text.str());
}

std::optional<int32_t> optional_id(const json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  const int64_t id = value.get<int64_t>();
  if (id < 0 || id > std::numeric_limits<int32_t>::max()) return std::nullopt;
  return static_cast<int32_t>(id);
}

// eos_token_id: a number, a list of numbers, null or absent; in the configs inside it as well.
void collect_eos(const json* config, std::set<int32_t>& ids) {
  if (config == nullptr) return;
  for (const json* level : config_levels(*config)) {
    if (!level->is_object() || !level->contains("eos_token_id")) continue;
    const json& found = level->at("eos_token_id");
    for (const json& value : found.is_array() ? found : json::array({found}))
      if (const auto id = optional_id(value)) ids.insert(*id);
  }
}

// tokenizer_config.json writes a token as its text or as an object with "content", and so does
// special_tokens_map.json. Adds what `tokens` has not got.
void read_special_tokens(const json* config, std::map<std::string, std::string>& tokens) {
  if (config == nullptr || !config->is_object()) return;
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token", "sep_token",
                          "cls_token", "mask_token"}) {
    const auto found = config->find(key);
    if (found == config->end()) continue;
    const json value =
        found->is_object() && found->contains("content") ? (*found)["content"] : *found;
    if (value.is_string()) tokens.emplace(key, value.get<std::string>());
  }
}

}  // namespace

struct Tokenizer::State {
  Handle handle;
  int32_t vocab_size = 0;
  std::optional<int32_t> bos, eos, eot, pad;
  bool adds_bos = false;
  std::set<int32_t> eos_ids;
  std::map<std::string, std::string> special_tokens;
  std::vector<std::string> warnings;
  std::string chat_template;

  std::optional<int32_t> id(std::string_view token) const;
  std::optional<std::string> token(int32_t id, bool as_bytes) const;
  // Takes an id from the special token's text, or names the token of an id already known.
  void link(const char* name, std::optional<int32_t>& known);
};

std::optional<int32_t> Tokenizer::State::id(std::string_view token) const {
  bool found = false;
  uint32_t result = 0;
  rust::Buffer message;
  const int32_t status =
      continuo_tokenizer_id(handle.get(), rust::slice(token), &found, &result, message.out());
  if (status != CONTINUO_TEXT_OK || !found) return std::nullopt;
  return optional_id(json(result));
}

std::optional<std::string> Tokenizer::State::token(int32_t id, bool as_bytes) const {
  bool found = false;
  rust::Buffer text, message;
  const int32_t status = continuo_tokenizer_token(handle.get(), static_cast<uint32_t>(id), as_bytes,
                                                  &found, text.out(), message.out());
  if (status != CONTINUO_TEXT_OK || !found) return std::nullopt;
  return text.str();
}

void Tokenizer::State::link(const char* name, std::optional<int32_t>& known) {
  if (const auto found = special_tokens.find(name); found != special_tokens.end()) {
    if (!known) known = id(found->second);
  } else if (known) {
    if (auto text = token(*known, false)) special_tokens[name] = *text;
  }
}

Result<Tokenizer> Tokenizer::create(const TokenizerSource& source) {
  auto state = std::make_shared<State>();
  CONTINUO_TRY(state->handle, make_handle(source));
  CONTINUO_TRY(const json info, read_info(state->handle.get()));
  state->vocab_size = optional_id(info["vocab_size"]).value_or(0);
  state->bos = optional_id(info["bos"]);
  state->eos = optional_id(info["eos"]);
  state->eot = optional_id(info["eot"]);
  state->pad = optional_id(info["pad"]);
  std::optional<int32_t> unknown = optional_id(info["unknown"]);
  read_special_tokens(source.tokenizer_config, state->special_tokens);
  read_special_tokens(source.special_tokens_map, state->special_tokens);
  if (info["chat_template"].is_string())
    state->chat_template = info["chat_template"].get<std::string>();
  state->warnings = info["warnings"].get<std::vector<std::string>>();
  state->link("bos_token", state->bos);
  state->link("eos_token", state->eos);
  state->link("pad_token", state->pad);
  state->link("unk_token", unknown);

  for (const json& id : info["prefix"])
    state->adds_bos |= state->bos && optional_id(id) == state->bos;
  for (const json& id : info["end_ids"]) state->eos_ids.insert(id.get<int32_t>());
  collect_eos(source.config, state->eos_ids);
  collect_eos(source.generation_config, state->eos_ids);
  if (state->eos) state->eos_ids.insert(*state->eos);
  return Tokenizer(std::move(state));
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  FreeIds out;
  rust::Buffer message;
  Asked asked{options.stop};
  const int32_t status = continuo_tokenizer_encode(
      state_->handle.get(), rust::slice(text), options.add_special, options.parse_special,
      options.stop == nullptr ? nullptr : ask, &asked, &out.ids, message.out());
  if (asked.thrown) std::rethrow_exception(asked.thrown);
  CONTINUO_RETURN_IF_ERROR(rust::status(status, message));
  return std::vector<int32_t>(out.ids.data, out.ids.data + out.ids.size);
}

Result<std::string> Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  const std::vector<uint32_t> unsigned_ids(ids.begin(), ids.end());
  rust::Buffer text, message;
  const int32_t status =
      continuo_tokenizer_decode(state_->handle.get(), unsigned_ids.data(), unsigned_ids.size(),
                                skip_special, text.out(), message.out());
  CONTINUO_RETURN_IF_ERROR(rust::status(status, message));
  return text.str();
}

StreamDecoder Tokenizer::stream(bool skip_special) const {
  ContinuoStream* stream = nullptr;
  rust::Buffer message;
  const int32_t status =
      continuo_stream_new(state_->handle.get(), skip_special, &stream, message.out());
  check(status == CONTINUO_TEXT_OK, "stream", "{}", message.str());
  return StreamDecoder(stream);
}

std::optional<std::string> Tokenizer::token(int32_t id) const { return state_->token(id, false); }
std::optional<std::string> Tokenizer::token_bytes(int32_t id) const {
  return state_->token(id, true);
}
std::optional<int32_t> Tokenizer::id(std::string_view token) const { return state_->id(token); }
bool Tokenizer::is_special(int32_t id) const {
  return continuo_tokenizer_is_special(state_->handle.get(), static_cast<uint32_t>(id));
}
int32_t Tokenizer::vocab_size() const { return state_->vocab_size; }
std::optional<int32_t> Tokenizer::bos() const { return state_->bos; }
std::optional<int32_t> Tokenizer::eos() const { return state_->eos; }
std::optional<int32_t> Tokenizer::eot() const { return state_->eot; }
std::optional<int32_t> Tokenizer::pad() const { return state_->pad; }
bool Tokenizer::adds_bos() const { return state_->adds_bos; }
const std::set<int32_t>& Tokenizer::eos_ids() const { return state_->eos_ids; }
const std::string& Tokenizer::default_chat_template() const { return state_->chat_template; }
const std::vector<std::string>& Tokenizer::warnings() const { return state_->warnings; }
const std::map<std::string, std::string>& Tokenizer::special_tokens() const {
  return state_->special_tokens;
}

}  // namespace continuo::text
