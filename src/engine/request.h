// What goes into the engine and what comes out: a Request, and the Events of its answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/sampling_params.h"

namespace continuo::engine {

using TimePoint = std::chrono::steady_clock::time_point;

enum class FinishReason {
  kStop,       // an end token or a stop string
  kLength,     // max_tokens, or the context is full
  kCancelled,  // cancel(), or the engine went away
  kDeadline,
  kError,      // a step failed
  kNotFinite,  // the model computed logits that are not numbers, or all -inf, for this request
};
// "stop", "length", "cancelled", "deadline", "error", "not_finite"
const char* to_string(FinishReason reason);

// Of one chosen token, under the model's own distribution: before bias, penalties and temperature.
struct TokenLogprobs {
  float logprob = 0;
  std::vector<std::pair<int32_t, float>> top;  // likeliest first, as many as were asked for
};

struct Timings {
  double queued_s = 0;   // from submit() to the first chunk of the prompt
  double prefill_s = 0;  // from then to the first token
  double decode_s = 0;   // from the first token to the last
};

// One token of one answer, or its end, or both.
struct Event {
  uint64_t request = 0;
  int64_t choice = 0;
  int64_t index = 0;             // of the token in the answer, from 0
  std::optional<int32_t> token;  // absent: only an end. The end token that stopped it is included
  // What has become certain: whole characters, never part of a stop string, without special tokens.
  // Often empty. The texts of all events together are the answer.
  std::string text;
  std::optional<TokenLogprobs> logprobs;  // present with `token` where the request asks for them

  // Exactly one event a choice has this; it is the choice's last.
  std::optional<FinishReason> finish;
  std::string stop;               // with kStop: the stop string, "" for an end token
  std::string error;              // with kError and kNotFinite: what happened
  int64_t prompt_tokens = 0;      // with finish
  int64_t completion_tokens = 0;  // with finish; the end token included
  Timings timings;                // with finish
};

struct Request {
  std::vector<int32_t> ids;  // the prompt, at least one token
  int64_t max_tokens = 256;
  int64_t choices = 1;  // answers: the prompt is prefilled once
  SamplingParams sampling;
  std::vector<std::string> stops;  // texts that end an answer; need a tokenizer
  std::vector<int32_t> stop_ids;   // besides the model's end tokens
  bool ignore_eos = false;         // the model's end tokens do not end an answer
  bool skip_special = true;        // special tokens give no text
  int64_t top_logprobs = -1;       // -1: no logprobs; else how many alternatives
  TimePoint deadline = TimePoint::max();
  // Called on a thread of the engine, one at a time and in order, never after the last choice's
  // end; must be quick. It may call Engine::cancel(), nothing else of the engine. If it throws, the
  // request ends with kError.
  std::function<void(const Event&)> on_event;
};

}  // namespace continuo::engine
