#include "engine/text_model.h"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

namespace continuo::engine {

Result<TextModel> text_model(const checkpoint::Checkpoint& checkpoint) {
  text::TokenizerSource source;
  source.tokenizer_json = checkpoint.tokenizer_json;
  source.file_name = checkpoint.tokenizer_file_name;
  source.file = checkpoint.tokenizer_file;
  source.merges = checkpoint.tokenizer_merges;
  const auto given = [](const nlohmann::json& json) { return json.is_null() ? nullptr : &json; };
  source.gguf = given(checkpoint.gguf_tokenizer);
  source.tokenizer_config = given(checkpoint.tokenizer_config);
  source.special_tokens_map = given(checkpoint.special_tokens_map);
  source.added_tokens = given(checkpoint.added_tokens);
  source.config = given(checkpoint.config);
  source.generation_config = given(checkpoint.generation_config);
  auto tokenizer = text::Tokenizer::create(source);
  if (!tokenizer.ok()) return with_context(std::move(tokenizer).error(), checkpoint.path);
  for (const std::string& warning : tokenizer->warnings())
    spdlog::warn("{}: {}", checkpoint.path, warning);
  auto chat = text::ChatTemplate::create(
      {checkpoint.chat_template, source.tokenizer_config, source.gguf}, *tokenizer);
  if (!chat.ok() && chat.error().code != ErrorCode::kNotFound)
    return with_context(std::move(chat).error(), checkpoint.path);
  TextModel model{std::move(tokenizer).value(), std::nullopt};
  if (chat.ok()) model.chat = std::move(chat).value();
  return model;
}

Result<std::vector<int32_t>> encode_chat(const TextModel& text, const std::string& system,
                                         const std::string& user) {
  if (!text.chat)
    return error(ErrorCode::kUnsupported,
                 "the model has no chat template; give it a plain prompt to complete");
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back({{"role", "user"}, {"content", user}});
  text::ChatRequest request;
  request.messages = messages.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  CONTINUO_TRY(const std::string rendered, text.chat->render(request));
  return text.tokenizer.encode(rendered, {.add_special = false, .parse_special = true});
}

}  // namespace continuo::engine
