#include "engine/probe.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/scheduler.h"

namespace continuo::engine {

std::string Feed::name() const {
  return columns == 0 ? "whole" : columns == 1 ? "token" : fmt::format("chunk:{}", columns);
}

Result<Feed> parse_feed(const std::string& text) {
  if (text == "whole") return Feed{0};
  if (text == "token") return Feed{1};
  if (text.rfind("chunk:", 0) == 0) {
    const std::string digits = text.substr(6);
    if (!digits.empty() && digits.size() <= 6 &&
        digits.find_first_not_of("0123456789") == std::string::npos && std::stoll(digits) >= 1)
      return Feed{std::stoll(digits)};
  }
  return error(ErrorCode::kInvalidArgument, "feed: wanted whole, token or chunk:K, got {}", text);
}

int64_t column_bucket(int64_t count, int64_t context) {
  int64_t columns = 1;
  while (columns < count) columns *= 2;
  return std::min(columns, context);
}

namespace {

// The rows beside the probed one: each advances its own sequence by its own stride, idles now and
// then, and begins again at position 0 when what the step attends over is full.
class Companions {
 public:
  Companions(int64_t rows, int64_t vocab)
      : position_(static_cast<size_t>(rows), 0), vocab_(vocab) {}

  void fill(StepInput& input, int64_t row, int64_t columns, int64_t attended) {
    const size_t r = static_cast<size_t>(row);
    int64_t length = static_cast<int64_t>(next() % static_cast<uint64_t>(columns + 1));
    if (position_[r] + length > attended) position_[r] = 0;
    input.start[r] = static_cast<int32_t>(std::min(position_[r], attended - 1));
    input.length[r] = static_cast<int32_t>(length);
    for (int64_t t = 0; t < columns; ++t)
      input.tokens[r * static_cast<size_t>(columns) + static_cast<size_t>(t)] =
          static_cast<int32_t>(next() % static_cast<uint64_t>(vocab_));
    position_[r] += length;
  }

 private:
  uint64_t next() {  // xorshift: the same sequences in every run
    seed_ ^= seed_ << 13;
    seed_ ^= seed_ >> 7;
    seed_ ^= seed_ << 17;
    return seed_ >> 11;
  }
  std::vector<int64_t> position_;
  int64_t vocab_;
  uint64_t seed_ = 0x9E3779B97F4A7C15u;
};

class Prober {
 public:
  Prober(Stepper& stepper, const ProbeOptions& options)
      : stepper_(stepper),
        options_(options),
        companions_(stepper.options().slots, stepper.model().facts().vocab) {}

  // One step of the probed row with `ids` from position start; `alone` as the only row.
  Result<std::vector<float>> step(std::span<const int32_t> ids, int64_t start, int64_t columns,
                                  bool alone) {
    const int64_t rows = alone ? 1 : options_.rows;
    const int64_t reach = std::max(columns, start + static_cast<int64_t>(ids.size()));
    const int64_t attended = options_.attended.empty() ? stepper_.options().context
                                                       : bucket_of(options_.attended, reach);
    const StepKey key{rows, columns, options_.attended.empty() ? 0 : attended, models::Head::kLast};
    StepInput input{std::vector<int32_t>(static_cast<size_t>(rows * columns), 0),
                    std::vector<int32_t>(static_cast<size_t>(rows), 0),
                    std::vector<int32_t>(static_cast<size_t>(rows), 0),
                    std::vector<int32_t>(static_cast<size_t>(rows), 0)};
    for (int64_t row = 0; row < rows; ++row) {
      input.slot[static_cast<size_t>(row)] = static_cast<int32_t>(alone ? options_.row : row);
      if (!alone && row != options_.row) companions_.fill(input, row, columns, attended);
    }
    const size_t own = alone ? 0 : static_cast<size_t>(options_.row);
    std::copy(ids.begin(), ids.end(), input.tokens.begin() + static_cast<int64_t>(own) * columns);
    input.start[own] = static_cast<int32_t>(start);
    input.length[own] = static_cast<int32_t>(ids.size());
    CONTINUO_TRY(const StepOutput output, stepper_.run(key, input));
    CONTINUO_TRY(HostTensor logits, output.head->download());
    const size_t vocab = static_cast<size_t>(stepper_.model().facts().vocab);
    const auto values = logits.as<float>().subspan(own * vocab, vocab);
    const bool some = std::any_of(values.begin(), values.end(), [](float x) {
      return x > -std::numeric_limits<float>::infinity();
    });
    if (!some || std::any_of(values.begin(), values.end(), [](float x) { return std::isnan(x); }))
      return error(ErrorCode::kCorrupt,
                   "the logits after position {} are not numbers: the weights hold, or lead to, "
                   "values that are not finite",
                   start + static_cast<int64_t>(ids.size()) - 1);
    return std::vector<float>(values.begin(), values.end());
  }

 private:
  Stepper& stepper_;
  ProbeOptions options_;
  Companions companions_;
};

int32_t argmax(const std::vector<float>& logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

}  // namespace

Result<ProbeResult> probe(Stepper& stepper, const std::vector<int32_t>& ids,
                          const ProbeOptions& options, bool keep_step_logits) {
  const int64_t context = stepper.options().context, count = static_cast<int64_t>(ids.size());
  if (count == 0) return error(ErrorCode::kInvalidArgument, "ids: wanted at least one");
  if (options.rows != stepper.options().slots || options.row < 0 || options.row >= options.rows)
    return error(ErrorCode::kInvalidArgument, "row: wanted a row below {}, got {}", options.rows,
                 options.row);
  if (count + options.greedy > context + (options.greedy > 0 ? 1 : 0))
    return error(ErrorCode::kInvalidArgument, "{} tokens and {} more do not fit a context of {}",
                 count, options.greedy, context);
  if (!options.forced.empty() && int64_t(options.forced.size()) < options.greedy)
    return error(ErrorCode::kInvalidArgument, "forced: expected {} tokens, got {}", options.greedy,
                 options.forced.size());
  const int64_t columns =
      std::min(options.feed.columns == 0 ? column_bucket(std::max(count, options.longest), context)
                                         : options.feed.columns,
               context);
  const int64_t width = std::min(std::max(columns, options.width), context);
  Prober prober(stepper, options);
  ProbeResult result;
  std::vector<float> logits;
  for (int64_t start = 0; start < count; start += columns) {
    const auto part = std::span(ids).subspan(static_cast<size_t>(start),
                                             static_cast<size_t>(std::min(columns, count - start)));
    CONTINUO_TRY(logits, prober.step(part, start, width, options.indirect));
  }
  result.logits = logits;
  for (int64_t i = 0; i < options.greedy; ++i) {
    if (keep_step_logits) result.step_logits.push_back(logits);
    result.greedy.push_back(argmax(logits));
    if (i + 1 == options.greedy) break;
    const int32_t token =
        options.forced.empty() ? result.greedy.back() : options.forced[static_cast<size_t>(i)];
    CONTINUO_TRY(logits, prober.step(std::span(&token, 1), count + i, 1, false));
  }
  return result;
}

Result<std::vector<std::vector<float>>> probe_layers(Stepper& stepper,
                                                     const std::vector<int32_t>& ids) {
  const int64_t columns =
      column_bucket(static_cast<int64_t>(ids.size()), stepper.options().context);
  const size_t rows = static_cast<size_t>(stepper.options().slots);
  StepInput input{std::vector<int32_t>(rows * static_cast<size_t>(columns), 0),
                  std::vector<int32_t>(rows), std::vector<int32_t>(rows, 0),
                  std::vector<int32_t>(rows, 0)};
  for (size_t r = 0; r < rows; ++r) input.slot[r] = static_cast<int32_t>(r);
  std::copy(ids.begin(), ids.end(), input.tokens.begin());
  input.length[0] = static_cast<int32_t>(ids.size());
  CONTINUO_TRY(const StepOutput output,
               stepper.run({int64_t(rows), columns, 0, models::Head::kLayers}, input));
  CONTINUO_TRY(HostTensor hidden, output.head->download());
  const size_t layers = static_cast<size_t>(hidden.shape()[0]),
               size = static_cast<size_t>(hidden.shape()[2]);
  std::vector<std::vector<float>> result;
  for (size_t i = 0; i < layers; ++i) {
    const auto line = hidden.as<float>().subspan(i * rows * size, size);
    result.emplace_back(line.begin(), line.end());
  }
  return result;
}

}  // namespace continuo::engine
