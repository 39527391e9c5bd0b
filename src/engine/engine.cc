#include "engine/engine.h"

#include <algorithm>
#include <random>

#include "base/guard.h"
#include "engine/engine_impl.h"
#include "text/tokenizer.h"

namespace continuo::engine {

Result<SchedulerOptions> scheduling_of(const EngineOptions& options, const StepLimits& given) {
  StepLimits limits = given;
  // Where short prompts are padded to the one width, it is a narrow one.
  if (options.deterministic) limits.columns = std::min<int64_t>(256, (limits.columns + 3) / 4);
  if (options.prefill_columns > 0) limits.columns = options.prefill_columns;
  // A budget must not change the one width: it would change bits.
  if (options.prefill_budget > 0 && !options.deterministic)
    limits.columns = std::min(limits.columns, options.prefill_budget);
  SchedulerOptions result = default_scheduler_options(options.slots, options.context, limits);
  // The mailbox keeps the limit; the scheduler's own queue also holds what free slots will take.
  result.max_queue = options.max_queue + options.slots;
  result.argmax = options.greedy_graphs;
  result.sample = options.sampling_graphs;
  if (!options.columns.empty()) result.columns = options.columns;
  if (!options.attended.empty()) result.attended = options.attended;
  result.prefill_budget =
      options.prefill_budget > 0 ? options.prefill_budget : result.columns.back();
  if (options.deterministic) {
    result = deterministic_options(std::move(result));
    if (result.prefill_budget < result.columns[0])
      return error(
          ErrorCode::kInvalidArgument,
          "prefill_budget: expected at least {}, the width of every prefill step where the "
          "engine is deterministic, got {}",
          result.columns[0], result.prefill_budget);
  }
  CONTINUO_RETURN_IF_ERROR(check(result));
  return result;
}

const char* to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kDeadline:
      return "deadline";
    case FinishReason::kError:
      return "error";
    case FinishReason::kNotFinite:
      return "not_finite";
  }
  return "unknown";
}

int64_t context_for(int64_t prompt, int64_t max_tokens, int64_t model_positions) {
  int64_t context = 256;
  while (context < prompt + max_tokens) context *= 2;
  return model_positions > 0 ? std::min(context, model_positions) : context;
}

// --- Impl: life and what any thread may call ---

Engine::Impl::Impl(EngineParts parts, EngineOptions given, SchedulerOptions scheduling)
    : mailbox(given.max_queue),
      options(std::move(given)),
      eos_ids(std::move(parts.eos_ids)),
      tokenizer_(parts.tokenizer),
      vocab_(parts.vocab),
      runner_(std::move(parts.runner)),
      scheduler_(std::move(scheduling)),
      clock_(options.step_timeout_s) {}

Engine::Impl::~Impl() {
  mailbox.close();
  if (thread_.joinable()) thread_.join();
  mailbox.stop_watch();  // until here it answers for a step thread that does not come back
  if (watchdog_.joinable()) watchdog_.join();
}

Status Engine::Impl::prepare() {
  std::vector<StepKey> keys = scheduler_.keys();
  if (!options.compile_ahead) keys.resize(1);  // the first graph declares the state
  return runner_->prepare(keys, options.on_progress);
}

void Engine::Impl::start() {
  shape.slots = options.slots;
  shape.context = options.context;
  report();
  watchdog_ = std::thread([this] { watch(); });
  thread_ = std::thread([this] { loop(); });
}

Status Engine::Impl::check(const Request& request) const {
  CONTINUO_RETURN_IF_ERROR(Scheduler::check({.prompt = static_cast<int64_t>(request.ids.size()),
                                             .max_tokens = request.max_tokens,
                                             .choices = request.choices},
                                            scheduler_.options()));
  for (const int32_t id : request.ids)
    if (id < 0 || id >= vocab_)
      return error(ErrorCode::kInvalidArgument, "prompt: wanted token ids below {}, got {}", vocab_,
                   id);
  CONTINUO_RETURN_IF_ERROR(engine::check(request.sampling, vocab_));
  if (request.sampling.min_tokens > request.max_tokens)
    return error(ErrorCode::kInvalidArgument, "min_tokens: expected at most max_tokens, {}, got {}",
                 request.max_tokens, request.sampling.min_tokens);
  if (!request.stops.empty() && tokenizer_ == nullptr)
    return error(ErrorCode::kInvalidArgument,
                 "stop: the model has no tokenizer; wanted stop token ids, got text");
  return ok_status();
}

EngineStats Engine::Impl::stats() const {
  EngineStats result;
  {
    const std::lock_guard lock(stats_mutex_);
    result = stats_;
  }
  result.waiting = mailbox.waiting();
  result.health = hung_ ? Health::kHung : failing_ ? Health::kFailing : Health::kOk;
  if (!compiling) return result;
  const CompileCacheStats built = compiling();
  result.compiled = built.compiled;
  result.loaded = built.loaded;
  result.compile_seconds = built.compile_seconds;
  return result;
}

// --- Engine ---

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::create(EngineParts parts, const EngineOptions& options) {
  CONTINUO_TRY(SchedulerOptions scheduling, scheduling_of(options));
  auto impl = std::make_unique<Impl>(std::move(parts), options, std::move(scheduling));
  CONTINUO_RETURN_IF_ERROR(impl->prepare());
  impl->start();
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

// From here on the request is one object, which mailbox, loop and answers share.
Result<uint64_t> Engine::submit(Request request) {
  return guarded([&]() -> Result<uint64_t> {
    CONTINUO_RETURN_IF_ERROR(impl_->check(request));
    if (!request.sampling.seed) {
      std::random_device random;
      request.sampling.seed = (uint64_t{random()} << 32) | random();
    }
    std::sort(request.stop_ids.begin(), request.stop_ids.end());
    std::erase_if(request.stops, [](const std::string& stop) { return stop.empty(); });
    return impl_->mailbox.submit(std::make_shared<const Request>(std::move(request)));
  });
}

void Engine::cancel(uint64_t request) { impl_->mailbox.cancel(request); }

bool Engine::drain(TimePoint limit) {
  constexpr std::chrono::seconds kEnds{2};
  Mailbox& mailbox = impl_->mailbox;
  mailbox.refuse_more("the engine is shutting down and takes no more requests");
  // In pieces, so that a hang found meanwhile ends the wait.
  while (std::chrono::steady_clock::now() < limit && stats().health != Health::kHung) {
    const TimePoint piece = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
    if (mailbox.wait_idle(std::min(limit, piece))) return true;
  }
  mailbox.close();
  const TimePoint last = std::chrono::steady_clock::now() + kEnds;
  // Answered by the watchdog, a request is not yet gone: the step thread may still be coming.
  if (mailbox.wait_answered(last))
    mailbox.wait_idle(
        std::min(last, std::chrono::steady_clock::now() + std::chrono::milliseconds(500)));
  return false;
}

bool Engine::stop(TimePoint limit) {
  impl_->mailbox.close();
  return impl_->mailbox.wait_left(limit);
}

EngineStats Engine::stats() const { return impl_->stats(); }
const EngineOptions& Engine::options() const { return impl_->options; }
const std::vector<int32_t>& Engine::eos_ids() const { return impl_->eos_ids; }

}  // namespace continuo::engine
