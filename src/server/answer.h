// How answers look: OpenAI's objects for completions and chats, whole and in pieces.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/request.h"
#include "server/generation_request.h"
#include "server/served_model.h"

namespace continuo::server {

// The answers to one HTTP request, from its events: whole() once all have ended, or chunk() for
// each. `request` and `model` outlive it. One thread.
class Answer {
 public:
  Answer(const GenerationRequest& request, const ServedModel& model, const std::string& id,
         int64_t created);

  // Takes an event of prompt `prompt`. True once every choice has ended.
  bool add(size_t prompt, const engine::Event& event);
  bool complete() const { return open_ == 0; }
  size_t open() const { return open_; }  // choices that have not ended

  // After add(): that event as "data: {...}\n\n", perhaps after a first chunk of its choice; ""
  // where there is nothing to show yet.
  std::string chunk(size_t prompt, const engine::Event& event);
  // What ends a stream: the usage, where it is asked for, and [DONE].
  std::string end_of_stream() const;
  Json whole() const;

  int64_t prompt_tokens() const;
  int64_t completion_tokens() const;
  // An end that is no answer: a failed step, a server going away, a deadline before any token.
  const engine::Event* failure() const { return failure_ ? &*failure_ : nullptr; }
  std::string finish_reasons() const;  // "stop,length": for the log

 private:
  struct Choice {
    std::string text;
    std::vector<int32_t> ids;
    std::vector<engine::TokenLogprobs> logprobs;  // one for each of ids, where asked for
    int64_t offset = 0;                           // characters before the next token
    bool begun = false;                           // a chunk was made
    std::optional<engine::FinishReason> finish;
    Json stop_reason;  // the stop string, or null
    int64_t completion_tokens = 0;
    std::string before_text, after_text;  // of a chunk that has text alone, once there was one
  };

  Choice& choice(size_t prompt, const engine::Event& event);
  Json chunk_json(size_t prompt, const engine::Event& event, const std::string& text);
  Json envelope(const char* object) const;
  Json usage() const;
  Json whole_choice(size_t index) const;
  // What makes a token's logprobs in either shape; `offset` advances.
  Json logprobs(const std::vector<int32_t>& ids, const std::vector<engine::TokenLogprobs>& of,
                int64_t& offset) const;
  Json chat_logprobs(const std::vector<int32_t>& ids,
                     const std::vector<engine::TokenLogprobs>& of) const;
  std::string token_text(int32_t id) const;  // UTF-8
  Json chat_token(int32_t id, float logprob) const;

  const GenerationRequest& request_;
  const ServedModel& model_;
  std::string id_;
  int64_t created_;
  std::vector<Choice> choices_;  // [prompts * n]
  size_t open_;
  std::optional<engine::Event> failure_;
};

}  // namespace continuo::server
