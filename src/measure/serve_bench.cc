#include "measure/serve_bench.h"

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "measure/step_bench.h"

namespace continuo::measure {
namespace {

using Clock = std::chrono::steady_clock;

// What clients see; events come on the engine's step thread.
class Clients {
 public:
  explicit Clients(int64_t requests) : sent_(size_t(requests)), last_(sent_), open_(requests) {}

  void send(size_t index) { sent_[index] = Clock::now(); }
  void take(size_t index, const engine::Event& event) {
    const auto now = Clock::now();
    const std::lock_guard lock(mutex_);
    if (event.token) {
      const auto since = event.index == 0 ? sent_[index] : last_[index];
      (event.index == 0 ? first_ : between_)
          .push_back(std::chrono::duration<double, std::milli>(now - since).count());
      last_[index] = now;
    }
    if (!event.finish) return;
    if (!event.error.empty()) error_ = event.error;
    if (--open_ == 0) ended_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return open_ == 0; });
  }
  const std::string& error() const { return error_; }
  Percentiles first() const { return of(first_); }
  Percentiles between() const { return of(between_); }
  size_t tokens() const { return first_.size() + between_.size(); }

 private:
  static Percentiles of(const std::vector<double>& values) {
    if (values.empty()) return {};
    return {percentile(values, 0.5), percentile(values, 0.95), percentile(values, 0.99)};
  }
  std::vector<Clock::time_point> sent_, last_;
  std::mutex mutex_;
  std::condition_variable ended_;
  int64_t open_;
  std::vector<double> first_, between_;
  std::string error_;
};

}  // namespace

Result<ServeBenchResult> bench_serving(engine::Engine& engine, int64_t vocab,
                                       const ServeBenchOptions& options) {
  std::mt19937_64 random(options.seed);
  const auto shared = std::make_shared<Clients>(options.requests);  // with the engine's events
  Clients& clients = *shared;
  const auto start = Clock::now();
  double due = 0;
  for (size_t i = 0; i < size_t(options.requests); ++i) {
    if (options.rate > 0) {
      due -= std::log1p(-double(random() >> 11) * 0x1p-53) / options.rate;
      std::this_thread::sleep_until(
          start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(due)));
    }
    engine::Request request;
    for (int64_t t = 0; t < options.prompt; ++t)
      request.ids.push_back(int32_t(random() % uint64_t(vocab)));
    request.max_tokens = options.tokens;
    request.ignore_eos = true;
    request.sampling = options.sampling;
    request.top_logprobs = options.top_logprobs;
    request.on_event = [shared, i](const engine::Event& event) { shared->take(i, event); };
    clients.send(i);
    if (const auto id = engine.submit(std::move(request)); !id.ok()) {
      engine.drain(Clock::now());
      return id.error();
    }
  }
  clients.wait();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (!clients.error().empty()) return error(ErrorCode::kUnavailable, "{}", clients.error());
  return ServeBenchResult{seconds, double(clients.tokens()) / seconds,
                          double(options.requests) / seconds, clients.first(), clients.between()};
}

}  // namespace continuo::measure
