#include "measure/host_bench.h"

#include <time.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

#include "engine/step_runner.h"

namespace continuo::measure {
namespace {

double thread_microseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) * 1e6 + double(now.tv_nsec) * 1e-3;
}

// Tokens walk through the vocabulary, so that no two rows have the same text.
class NoDevice final : public engine::StepRunner {
 public:
  NoDevice(int64_t streams, int64_t vocab, std::vector<double>& times)
      : streams_(streams), vocab_(vocab), times_(times) {}

  Status prepare(std::span<const engine::StepKey>,
                 const std::function<void(const std::string&, int64_t, int64_t)>&) override {
    return ok_status();
  }
  bool prepared(const engine::StepKey&) const override { return true; }
  Status fork(const engine::SlotFork&) override { return ok_status(); }
  Status set_line(int32_t, const engine::SlotLine&) override { return ok_status(); }
  Status launch(const engine::StepKey& key, const engine::StepInput& input) override {
    const auto active = std::count_if(input.length.begin(), input.length.end(),
                                      [](int32_t length) { return length > 0; });
    const double now = thread_microseconds();
    const bool full = key.columns == 1 && active == streams_;
    if (full && was_full_) times_.push_back(now - last_);
    was_full_ = full;
    last_ = now;
    Step step{{}, !input.choices.empty(), input.logits_of};
    for (int64_t row = 0; row < key.rows; ++row)
      step.tokens.push_back(static_cast<int32_t>((next_ = (next_ + 7919) % vocab_)));
    launched_.push_back(std::move(step));
    return ok_status();
  }
  Result<engine::StepResult> collect() override {
    const Step step = std::move(launched_.front());
    launched_.pop_front();
    engine::StepResult result{step.tokens, {}, {}};
    result.logits.resize(step.tokens.size());
    for (const size_t row : step.logits_of) result.logits[row].assign(size_t(vocab_), 0);
    if (step.reports)
      result.report.assign(step.tokens.size() * size_t(engine::report_width(vocab_)), 1);
    return result;
  }
  Status reset() override { return ok_status(); }

 private:
  struct Step {
    std::vector<int32_t> tokens;
    bool reports;
    std::vector<size_t> logits_of;
  };
  int64_t streams_, vocab_;
  std::vector<double>& times_;  // read once the engine is gone
  std::deque<Step> launched_;
  int64_t next_ = 0;
  bool was_full_ = false;
  double last_ = 0;
};

}  // namespace

Result<HostBenchResult> bench_host(const text::Tokenizer* tokenizer, int64_t vocab,
                                   const HostBenchOptions& options) {
  std::vector<double> times;
  engine::EngineOptions serving;
  serving.slots = options.streams;
  serving.context = options.prompt + options.tokens;
  engine::EngineParts parts{
      std::make_unique<NoDevice>(options.streams, vocab, times), tokenizer, {}, vocab};
  CONTINUO_TRY(auto engine, engine::Engine::create(std::move(parts), serving));
  std::mutex mutex;
  std::condition_variable ended;
  int64_t open = options.streams;
  for (int64_t i = 0; i < options.streams; ++i) {
    engine::Request request = options.request;
    request.ids.assign(size_t(options.prompt), static_cast<int32_t>(i % vocab));
    request.max_tokens = options.tokens;
    request.ignore_eos = true;
    request.on_event = [&](const engine::Event& event) {
      if (!event.finish) return;
      const std::lock_guard lock(mutex);
      --open;
      ended.notify_all();
    };
    CONTINUO_TRY([[maybe_unused]] const uint64_t id, engine->submit(std::move(request)));
  }
  {
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return open == 0; });
  }
  engine.reset();
  if (times.empty())
    return error(ErrorCode::kUnavailable, "bench: no two steps in a row had all {} streams",
                 options.streams);
  std::nth_element(times.begin(), times.begin() + std::ptrdiff_t(times.size() / 2), times.end());
  const double median = times[times.size() / 2];
  return HostBenchResult{median, median / double(options.streams)};
}

}  // namespace continuo::measure
