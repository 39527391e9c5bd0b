#include "engine/answer.h"

#include "text/tokenizer.h"

namespace continuo::engine {

Answer::Answer(const Request& request, int64_t choice, const AnswerModel& model)
    : request_(request),
      choice_(choice),
      on_device_(fits_device(request.sampling) &&
                 (model.device_samples || request.sampling.temperature == 0)),
      ends_(request.stop_ids.begin(), request.stop_ids.end()),
      sampler_(request.sampling, choice, request.ids, model.vocab),
      stops_(request.stops) {
  if (!request.ignore_eos) ends_.insert(model.ends->begin(), model.ends->end());
  if (model.tokenizer != nullptr) decoder_ = model.tokenizer->stream(request.skip_special);
}

// Choices share their prompt's last row, so that the device cannot choose all their first tokens.
bool Answer::chosen_on_host(int64_t index) const {
  return !on_device_ || (request_.choices > 1 && index == 0);
}

SampleRow Answer::sample_row(int64_t index) const {
  return engine::sample_row(request_.sampling, choice_, index);
}

bool Answer::push(int32_t token, std::span<const float> logits, TimePoint now, Event& event) {
  if (tokens_ == 0) first_ = now;
  last_ = now;
  last_token_ = token;
  event.token = token;
  event.index = tokens_++;
  if (request_.top_logprobs >= 0) event.logprobs = logprobs(logits, token, request_.top_logprobs);
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
  return piece.ok() ? stops_.push(*piece) : "";
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
