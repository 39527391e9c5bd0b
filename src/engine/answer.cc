#include "engine/answer.h"

#include <algorithm>

#include "text/tokenizer.h"

namespace continuo::engine {
namespace {

std::set<int32_t> ends_of(const Request& request, const AnswerModel& model) {
  std::set<int32_t> ends(request.stop_ids.begin(), request.stop_ids.end());
  if (!request.ignore_eos) ends.insert(model.ends->begin(), model.ends->end());
  return ends;
}

// The device can choose all its tokens, but for the first of several choices.
bool device_chooses(const SamplingParams& sampling, bool device_samples) {
  if (device_samples) return fits_device(sampling);
  return fits_device(sampling) && !penalises(sampling) && sampling.temperature == 0;
}

}  // namespace

Answer::Answer(std::shared_ptr<const Request> request, int64_t choice, const AnswerModel& model)
    : shared_(std::move(request)),
      request_(*shared_),
      choice_(choice),
      device_samples_(model.device_samples),
      on_device_(device_chooses(request_.sampling, model.device_samples)),
      ends_(ends_of(request_, model)),
      sampler_(request_.sampling, choice, request_.ids, model.vocab,
               std::vector<int32_t>(ends_.begin(), ends_.end())),
      stops_(request_.stops) {
  if (model.tokenizer != nullptr) decoder_ = model.tokenizer->stream(request_.skip_special);
}

// Choices share their prompt's last row, so that the device cannot choose all their first tokens.
int64_t Answer::host_tokens() const {
  if (!on_device_) return request_.max_tokens;
  return request_.choices > 1 ? 1 : 0;
}

bool Answer::wants_logits(int64_t index) const {
  return chosen_on_host(index) || (request_.top_logprobs >= 0 && !uses_chooser());
}

bool Answer::uses_chooser() const {
  const bool more = penalises(request_.sampling) || request_.top_logprobs >= 0;
  return on_device_ && device_samples_ && more && request_.top_logprobs <= kMostLikeliest;
}

ChoiceRow Answer::choice_row(int64_t index) const {
  if (chosen_on_host(index)) return {};
  ChoiceRow row = sampler_.choice_row(index);
  row.report = static_cast<int32_t>(request_.top_logprobs);
  return row;
}

std::optional<SlotLine> Answer::take_line() {
  if (line_known_ || !uses_chooser() || !penalises(request_.sampling)) return std::nullopt;
  line_known_ = true;
  return sampler_.line();
}

SampleRow Answer::sample_row(int64_t index) const {
  return engine::sample_row(request_.sampling, choice_, index);
}

bool Answer::push(int32_t token, std::span<const float> logits, std::span<const int32_t> report,
                  TimePoint now, Event& event) {
  if (tokens_ == 0) first_ = now;
  last_ = now;
  last_token_ = token;
  event.token = token;
  event.index = tokens_++;
  if (request_.top_logprobs >= 0)
    event.logprobs = logits.empty() ? logprobs(report, request_.top_logprobs)
                                    : logprobs(logits, token, request_.top_logprobs);
  sampler_.accept(token);
  if (ends_.contains(token)) return true;
  event.text = text_of(token);
  if (!stops_.stopped()) return false;
  event.stop = stops_.matched();
  return true;
}

std::string Answer::text_of(int32_t token) {
  if (!decoder_) return "";
  const auto piece = decoder_->push(token);
  if (!piece.ok()) return "";
  // Of the first min_tokens no text ends the answer.
  return tokens_ <= request_.sampling.min_tokens ? *piece : stops_.push(*piece);
}

void Answer::finish(Event& event) {
  if (decoder_ && !stops_.stopped()) {
    if (const auto rest = decoder_->flush(); rest.ok()) event.text += stops_.push(*rest);
    if (stops_.stopped())
      event.stop = stops_.matched();
    else
      event.text += stops_.flush();
  }
  event.completion_tokens = tokens_;
  event.prompt_tokens = static_cast<int64_t>(request_.ids.size());
  const auto seconds = [](auto span) { return std::chrono::duration<double>(span).count(); };
  if (tokens_ > 0) event.timings.decode_s = seconds(last_ - first_);
}

}  // namespace continuo::engine
