// Log probabilities in OpenAI's two shapes.
#include <algorithm>

#include "server/answer.h"

namespace continuo::server {
namespace {

// JSON has no infinity; vLLM's bound for it. Also what a NaN becomes.
double finite(float logprob) { return logprob >= -9999.0F ? logprob : -9999.0; }

int64_t characters(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

// The token itself first if it is not among the likeliest.
std::vector<std::pair<int32_t, float>> with_chosen(int32_t id,
                                                   const engine::TokenLogprobs& logprobs) {
  auto out = logprobs.top;
  const bool there =
      std::any_of(out.begin(), out.end(), [id](const auto& entry) { return entry.first == id; });
  if (!there) out.insert(out.begin(), {id, logprobs.logprob});
  return out;
}

}  // namespace

std::string Answer::token_text(int32_t id) const {
  if (request_.tokens_as_ids || !model_.tokenizer) return fmt::format("token_id:{}", id);
  if (auto bytes = model_.tokenizer->token_bytes(id); bytes && !bytes->empty()) return *bytes;
  return model_.tokenizer->token(id).value_or("");
}

Json Answer::chat_token(int32_t id, float logprob) const {
  const std::string text = token_text(id);
  Json bytes = Json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", text}, {"logprob", finite(logprob)}, {"bytes", std::move(bytes)}};
}

Json Answer::chat_logprobs(const std::vector<int32_t>& ids,
                           const std::vector<engine::TokenLogprobs>& of) const {
  Json content = Json::array();
  for (size_t i = 0; i < ids.size(); ++i) {
    Json entry = chat_token(ids[i], of[i].logprob);
    entry["top_logprobs"] = Json::array();
    for (const auto& [id, logprob] : of[i].top)
      entry["top_logprobs"].push_back(chat_token(id, logprob));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json Answer::logprobs(const std::vector<int32_t>& ids, const std::vector<engine::TokenLogprobs>& of,
                      int64_t& offset) const {
  if (request_.chat) return chat_logprobs(ids, of);
  Json tokens = Json::array(), chosen = Json::array(), top = Json::array(), offsets = Json::array();
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string text = token_text(ids[i]);
    tokens.push_back(text);
    chosen.push_back(finite(of[i].logprob));
    Json likeliest = Json::object();
    for (const auto& [id, logprob] : with_chosen(ids[i], of[i]))
      if (const std::string name = token_text(id); !likeliest.contains(name))
        likeliest[name] = finite(logprob);
    top.push_back(request_.request.top_logprobs > 0 ? std::move(likeliest) : Json());
    offsets.push_back(offset);
    offset += characters(text);
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(chosen)},
          {"top_logprobs", std::move(top)},
          {"text_offset", std::move(offsets)}};
}

}  // namespace continuo::server
