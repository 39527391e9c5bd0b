#include "measure/step_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <set>

#include "engine/stepper.h"
#include "measure/bandwidth.h"

namespace continuo::measure {
namespace {

using Clock = std::chrono::steady_clock;
using models::Head;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Bytes that a decode step has to move: weights once, keys and values of the `filled` positions
// once, recurrent state twice.
double floor_bytes(const engine::LoadedModel& model, engine::Stepper& stepper, int64_t rows,
                   int64_t filled) {
  double bytes = double(model.weights->bytes());
  // Of an embedding that is not the head as well, a step reads a line a row.
  if (!model.model->tied())
    bytes -= double(model.model->facts().vocab * model.model->facts().hidden) *
             double(byte_size(model.target.weights));
  for (const ops::StateSpec& spec : stepper.state().specs()) {
    const double size = double(spec.shape.elements()) * double(byte_size(spec.dtype));
    bytes += double(rows) * size *
             (spec.kind == ops::StateKind::kKv ? double(filled) / double(spec.positions) : 2);
  }
  return bytes;
}

// One batch: its slots are prefilled once, then decoded.
class Batch {
 public:
  Batch(engine::LoadedModel& model, const StepBenchOptions& options, int64_t rows, int64_t context)
      : options_(options),
        rows_(rows),
        steps_(served(model, options, rows, context)),
        stepper_(*model.executor, *model.model, model.target, *model.weights, *model.cache,
                 {rows, context, 0, true}),
        vocab_(model.model->facts().vocab) {}

  Status prepare() {
    std::set<engine::StepKey> keys;
    for (int64_t fed = 0; fed < options_.prompt; fed += chunk(fed))
      keys.insert(prefill_key(fed, chunk(fed)));
    for (const bool uniform : {false, true})
      for (int64_t step = 0; step < options_.tokens; ++step)
        if (uniform ? options_.uniform : options_.ragged) keys.insert(decode_key(step, uniform));
    return stepper_.prepare(std::vector<engine::StepKey>(keys.begin(), keys.end()));
  }

  // Feeds every slot a prompt; returns seconds.
  Result<double> prefill() {
    const auto start = Clock::now();
    runtime::BufferPtr last;
    for (int32_t slot = 0; slot < int32_t(rows_); ++slot)
      for (int64_t fed = 0; fed < options_.prompt; fed += chunk(fed)) {
        const int64_t count = chunk(fed);
        const engine::StepKey key = prefill_key(fed, count);
        engine::StepInput input{std::vector<int32_t>(size_t(key.columns)),
                                {slot},
                                {int32_t(fed)},
                                {int32_t(count)},
                                {},
                                {}};
        for (size_t i = 0; i < input.tokens.size(); ++i)
          input.tokens[i] = int32_t((7919 * i + 13 * size_t(slot) + size_t(fed)) % size_t(vocab_));
        CONTINUO_TRY(engine::StepOutput output, stepper_.run(key, input));
        last = std::move(output.head);
      }
    CONTINUO_TRY([[maybe_unused]] const HostTensor wait, last->download());
    return seconds_since(start);
  }

  // `count` tokens of every row, fed on the device; seconds a step from the first launch until the
  // last one's tokens are on the host.
  Result<double> decode(int64_t step, int64_t count, bool uniform) {
    const auto start = Clock::now();
    runtime::BufferPtr last;
    for (int64_t i = 0; i < count; ++i) {
      CONTINUO_TRY(engine::StepOutput output,
                   stepper_.run(decode_key(step + i, uniform), decode_input(step + i, uniform)));
      last = std::move(output.head);
    }
    CONTINUO_TRY([[maybe_unused]] const HostTensor tokens, last->download());
    return seconds_since(start) / double(count);
  }
  engine::Stepper& stepper() { return stepper_; }

 private:
  engine::StepInput decode_input(int64_t step, bool uniform) const {
    const size_t rows = size_t(rows_);
    engine::StepInput input{std::vector<int32_t>(rows, 1),
                            std::vector<int32_t>(rows),
                            std::vector<int32_t>(rows, int32_t(options_.prompt + step)),
                            std::vector<int32_t>(rows, 1),
                            std::vector<uint8_t>(rows, 1),
                            {}};
    for (size_t r = 0; r < rows; ++r) {
      input.slot[r] = int32_t(r);
      // Ragged rows stand at places of their own, up to a sixteenth of the prompt apart.
      if (!uniform) input.start[r] -= int32_t((r * 37) % size_t(1 + options_.prompt / 16));
    }
    return input;
  }
  static engine::SchedulerOptions served(const engine::LoadedModel& model,
                                         const StepBenchOptions& options, int64_t rows,
                                         int64_t context) {
    engine::StepLimits limits = engine::step_limits(model, context);
    if (options.columns > 0) limits.columns = options.columns;
    limits.attends_in_place = limits.attends_in_place || options.whole;
    return engine::default_scheduler_options(rows, context, limits);
  }
  int64_t chunk(int64_t fed) const { return engine::chunk_of(steps_, options_.prompt - fed); }
  engine::StepKey prefill_key(int64_t fed, int64_t count) const {
    const int64_t columns = engine::bucket_of(steps_.columns, count);
    const int64_t reach = std::max(columns, fed + count);
    return {1, columns, engine::bucket_of(steps_.attended, reach), Head::kArgmax};
  }
  engine::StepKey decode_key(int64_t step, bool uniform) const {
    const int64_t reach = options_.prompt + step + 1;
    return {rows_, 1, engine::bucket_of(steps_.attended, reach), Head::kArgmax, uniform};
  }
  const StepBenchOptions& options_;
  int64_t rows_;
  engine::SchedulerOptions steps_;
  engine::Stepper stepper_;
  int64_t vocab_;
};

}  // namespace

double percentile(std::vector<double> values, double fraction) {
  const size_t place = size_t(std::lround(fraction * double(values.size() - 1)));
  std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(place), values.end());
  return values[place];
}

Result<std::vector<StepBenchLine>> bench_steps(engine::LoadedModel& model,
                                               const StepBenchOptions& options) {
  int64_t context = options.context;
  if (context == 0)
    for (context = 64; context < options.prompt + options.tokens;) context *= 2;
  if (options.prompt < 1 || options.tokens < 1 || options.prompt + options.tokens > context)
    return error(ErrorCode::kInvalidArgument,
                 "bench: wanted prompt + tokens of at most the context {}, got {} + {}", context,
                 options.prompt, options.tokens);
  std::vector<StepBenchLine> lines;
  for (const int64_t rows : options.rows) {
    Batch batch(model, options, rows, context);
    CONTINUO_RETURN_IF_ERROR(batch.prepare());
    CONTINUO_TRY([[maybe_unused]] const double warm, batch.prefill());
    CONTINUO_TRY(const double prefill, batch.prefill());
    CONTINUO_TRY(double bandwidth, measure::bandwidth(*model.executor));
    std::vector<double> times[2];
    const int64_t filled = options.prompt + options.tokens / 2;
    const int64_t burst = std::min(options.ahead, options.tokens);
    for (int64_t step = 0; step + burst <= options.tokens; step += burst)
      for (const bool uniform : {false, true})
        if (uniform ? options.uniform : options.ragged) {
          CONTINUO_TRY(const double seconds, batch.decode(step, burst, uniform));
          if (step >= std::min<int64_t>(3, options.tokens - burst))
            times[uniform].push_back(seconds);
        }
    CONTINUO_TRY(const double after, measure::bandwidth(*model.executor));
    bandwidth = std::max(bandwidth, after);
    for (const bool uniform : {false, true}) {
      if (times[uniform].empty()) continue;
      const double step = percentile(times[uniform], options.best ? 0 : 0.5);
      const double floor = floor_bytes(model, batch.stepper(), rows, filled) / bandwidth;
      lines.push_back({rows, uniform ? "uniform" : "ragged", step * 1e3, double(rows) / step,
                       double(rows * options.prompt) / prefill, floor * 1e3, floor / step});
    }
  }
  return lines;
}

}  // namespace continuo::measure
