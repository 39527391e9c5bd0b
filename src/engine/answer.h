// Answer: the host's side of one choice of a request while it runs: which token comes next, where
// it ends, what text has become certain.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/stepper.h"
#include "text/stop_strings.h"
#include "text/stream_decoder.h"

namespace continuo::text {
class Tokenizer;
}

namespace continuo::engine {

// What answers share. All of it outlives them.
struct AnswerModel {
  const text::Tokenizer* tokenizer = nullptr;  // may be null
  const std::vector<int32_t>* ends = nullptr;  // the model's end tokens
  int64_t vocab = 0;
  bool device_samples = true;  // there are graphs that sample
};

// Owned by the engine's step thread.
class Answer {
 public:
  // `request` is the engine's: its seed is set, its stop ids are sorted, no stop string is empty.
  // Shared by all its answers.
  Answer(std::shared_ptr<const Request> request, int64_t choice, const AnswerModel& model);

  // How many of its first tokens must be chosen from logits on the host: none, one, or all. The
  // device has chosen the others.
  int64_t host_tokens() const;
  bool chosen_on_host(int64_t index) const { return index < host_tokens(); }
  bool wants_logits(int64_t index) const;
  // Whether the device's choice wants more than a graph's head knows (engine/chooser.h).
  bool uses_chooser() const;
  ChoiceRow choice_row(int64_t index) const;
  // What its slot must be told before the token that is to come; nothing if it knows.
  std::optional<SlotLine> take_line();
  // How the device chooses token `index`.
  SampleRow sample_row(int64_t index) const;
  int32_t choose(std::span<const float> logits) { return sampler_.sample(logits); }

  // Takes the next token, fills in the event's token, index, text and logprobs (from `logits` or
  // else `report`, which are empty unless the request wants them). True if it ends the answer:
  // event.stop then tells by what.
  bool push(int32_t token, std::span<const float> logits, std::span<const int32_t> report,
            TimePoint now, Event& event);
  // The answer has ended: adds the text still held back and the figures.
  void finish(Event& event);

  int32_t last_token() const { return last_token_; }
  int64_t tokens() const { return tokens_; }

 private:
  std::string text_of(int32_t token);

  std::shared_ptr<const Request> shared_;
  const Request& request_;  // *shared_
  int64_t choice_;
  bool device_samples_;
  bool on_device_;  // the device can choose
  bool line_known_ = false;
  std::set<int32_t> ends_;
  Sampler sampler_;
  std::optional<text::StreamDecoder> decoder_;
  text::StopStrings stops_;
  int32_t last_token_ = 0;
  int64_t tokens_ = 0;
  TimePoint first_, last_;  // tokens
};

}  // namespace continuo::engine
