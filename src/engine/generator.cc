#include "engine/generator.h"

#include <algorithm>
#include <chrono>

namespace continuo::engine {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Prompts are fed in these widths: few graphs to compile, little padding.
constexpr int64_t kPrefillColumns[] = {16, 64, 256};

int64_t prefill_columns(int64_t count, int64_t context) {
  for (const int64_t columns : kPrefillColumns)
    if (count <= columns || columns == kPrefillColumns[2]) return std::min(columns, context);
  return context;
}

}  // namespace

const char* to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

int64_t Generator::context_for(int64_t prompt, int64_t max_tokens, int64_t model_positions) {
  int64_t context = 256;
  while (context < prompt + max_tokens) context *= 2;
  return model_positions > 0 ? std::min(context, model_positions) : context;
}

StepKey Generator::prefill_key(int64_t count, const GenerateRequest& request) const {
  return {stepper_.options().slots, prefill_columns(count, stepper_.options().context), 0,
          request.sampling.temperature == 0 ? models::Head::kArgmax : models::Head::kLast};
}

StepKey Generator::decode_key(const GenerateRequest& request) const {
  return {stepper_.options().slots, 1, 0,
          request.sampling.temperature == 0 ? models::Head::kArgmax : models::Head::kLast};
}

Status Generator::prepare(const GenerateRequest& request) {
  CONTINUO_RETURN_IF_ERROR(stepper_.prepare(prefill_key(int64_t(request.ids.size()), request)));
  return stepper_.prepare(decode_key(request));
}

Result<int32_t> Generator::step(const StepKey& key, std::span<const int32_t> ids, int64_t start,
                                Sampler& sampler) {
  StepInput input{std::vector<int32_t>(static_cast<size_t>(key.columns), 0),
                  {0},
                  {static_cast<int32_t>(start)},
                  {static_cast<int32_t>(ids.size())}};
  std::copy(ids.begin(), ids.end(), input.tokens.begin());
  CONTINUO_TRY(const StepOutput output, stepper_.run(key, input));
  CONTINUO_TRY(const HostTensor head, output.head->download());
  return key.head == models::Head::kArgmax ? head.as<int32_t>()[0]
                                           : sampler.sample(head.as<float>());
}

Result<GenerateResult> Generator::generate(const GenerateRequest& request,
                                           const std::function<bool(int32_t)>& on_token) {
  CONTINUO_RETURN_IF_ERROR(engine::check(request.sampling));
  const int64_t count = int64_t(request.ids.size()), context = stepper_.options().context;
  if (count == 0) return error(ErrorCode::kInvalidArgument, "the prompt is empty");
  if (count >= context)
    return error(ErrorCode::kInvalidArgument,
                 "the prompt has {} tokens; a context of {} wants at most {}", count, context,
                 context - 1);
  GenerateResult result;
  Sampler sampler(request.sampling);
  const auto start = Clock::now();
  const StepKey prefill = prefill_key(count, request), decode = decode_key(request);
  int32_t token = 0;
  for (int64_t fed = 0; fed < count; fed += prefill.columns) {
    const auto part =
        std::span(request.ids).subspan(size_t(fed), size_t(std::min(prefill.columns, count - fed)));
    CONTINUO_TRY(token, step(prefill, part, fed, sampler));
  }
  result.prefill_seconds = result.first_token_seconds = since(start);
  const auto decoding = Clock::now();
  while (true) {
    if (request.eos_ids.contains(token)) {
      result.reason = FinishReason::kStop;
      break;
    }
    if (int64_t(result.ids.size()) >= request.max_tokens) break;
    result.ids.push_back(token);
    if (!on_token(token)) {
      result.reason = FinishReason::kCancelled;
      break;
    }
    const int64_t position = count + int64_t(result.ids.size()) - 1;
    if (int64_t(result.ids.size()) >= request.max_tokens || position >= context) break;
    CONTINUO_TRY(token, step(decode, std::span(&token, 1), position, sampler));
    ++result.decode_steps;
  }
  result.decode_seconds = since(decoding);
  return result;
}

}  // namespace continuo::engine
