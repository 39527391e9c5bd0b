#include "measure/bit_survey.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>

#include "engine/stepper.h"

namespace continuo::measure {
namespace {

using engine::StepInput;
using engine::StepKey;
using engine::Stepper;
using models::Head;

constexpr int64_t kSlots = 4, kContext = 256, kColumns = 64;
constexpr int64_t kBucket = 160, kLongContext = 512;

// How a sequence is run; the defaults are those of the first time.
struct Setting {
  int64_t slots = kSlots, slot = 0, context = kContext;
  int64_t columns = kColumns;  // of prefill steps; 0: prompts go through decode steps
  int64_t first = 0;           // tokens of the first chunk; 0 = as many as it has columns
  bool buckets = false;        // plain attention over `attended` positions, without a kernel
  int64_t attended = 0;        // 0 = the context
  bool other_head = false;     // greedy steps have a graph of their own
  uint32_t neighbours = 0;     // seed of what the other rows do; 0 = they idle
};

struct Sequence {
  std::vector<int32_t> prompt, answer;
};

using Logits = std::vector<std::vector<float>>;  // [steps][V]

int32_t best_of(const std::vector<float>& logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// One set of slots with its programs.
class Bench {
 public:
  Bench(engine::LoadedModel& model, const graph::Target& target, int64_t slots, int64_t context,
        int64_t limit)
      : vocab_(model.model->facts().vocab),
        stepper_(*model.executor, *model.model, target, *model.weights, *model.cache,
                 {slots, context, limit, false}) {}

  // The logits after the prompt and after each token of the answer but the last. An empty answer is
  // filled with `tokens` greedy ones.
  Result<Logits> run(const Setting& setting, Sequence& sequence, int64_t tokens) {
    CONTINUO_RETURN_IF_ERROR(start(setting));
    const auto prompt = std::span(sequence.prompt);
    std::vector<float> last;
    for (size_t fed = 0; fed < prompt.size();) {
      const int64_t most =
          fed == 0 && setting.first > 0 ? setting.first : std::max<int64_t>(setting.columns, 1);
      const size_t count = std::min(prompt.size() - fed, static_cast<size_t>(most));
      CONTINUO_TRY(last,
                   step(prompt.subspan(fed, count), static_cast<int64_t>(fed), setting.columns));
      fed += count;
    }
    const bool choosing = sequence.answer.empty();
    Logits all;
    for (int64_t i = 0;; ++i) {
      all.push_back(last);
      if (choosing) sequence.answer.push_back(best_of(last));
      if (i + 1 == tokens) return all;
      const auto token = std::span(sequence.answer).subspan(static_cast<size_t>(i), 1);
      CONTINUO_TRY(last, step(token, static_cast<int64_t>(prompt.size()) + i, 0));
    }
  }

 private:
  Status start(const Setting& setting) {
    setting_ = setting;
    random_.seed(setting.neighbours);
    position_.assign(static_cast<size_t>(setting.slots), 0);
    for (int64_t& each : position_) each = below(setting.context / 2);
    head_ = stepper_.target().samples && !setting.other_head ? Head::kSample : Head::kArgmax;
    return ok_status();
  }

  int64_t below(int64_t bound) { return static_cast<int64_t>(random_() % uint64_t(bound)); }

  // Puts `ids` from position `start` into row `row` of the input.
  static void fill(StepInput& input, size_t row, std::span<const int32_t> ids, int64_t start) {
    const size_t columns = input.tokens.size() / input.slot.size();
    std::copy(ids.begin(), ids.end(), input.tokens.begin() + static_cast<long>(row * columns));
    input.start[row] = static_cast<int32_t>(start);
    input.length[row] = static_cast<int32_t>(ids.size());
  }

  // A neighbour's next tokens, random ones; where its slot is full it begins again.
  std::vector<int32_t> next_of(size_t slot, int64_t count) {
    std::vector<int32_t> ids(static_cast<size_t>(count));
    for (int32_t& each : ids) each = static_cast<int32_t>(below(vocab_));
    const int64_t attended = setting_.attended > 0 ? setting_.attended : setting_.context;
    if (position_[slot] + count > attended) position_[slot] = 0;
    return ids;
  }

  // `columns` 0: the sequence's row of a step of all rows; else a step of its own.
  Result<std::vector<float>> step(std::span<const int32_t> ids, int64_t start, int64_t columns) {
    const int64_t rows = columns == 0 ? setting_.slots : 1;
    if (columns == 0) CONTINUO_RETURN_IF_ERROR(disturb());
    StepInput input = idle(rows, std::max<int64_t>(columns, 1), setting_.slot);
    const size_t own = columns == 0 ? static_cast<size_t>(setting_.slot) : 0;
    fill(input, own, ids, start);
    for (size_t row = 0; row < input.slot.size() && setting_.neighbours != 0; ++row) {
      if (row == own || below(4) == 0) continue;
      const std::vector<int32_t> token = next_of(row, 1);
      fill(input, row, token, position_[row]++);
    }
    CONTINUO_TRY(
        const engine::StepOutput output,
        stepper_.run({rows, std::max<int64_t>(columns, 1), setting_.attended, head_}, input));
    CONTINUO_TRY(const HostTensor logits, output.logits->download());
    const auto line =
        logits.as<float>().subspan(own * static_cast<size_t>(vocab_), static_cast<size_t>(vocab_));
    return std::vector<float>(line.begin(), line.end());
  }

  // Now and then a neighbour's prompt is fed between two steps of the sequence.
  Status disturb() {
    if (setting_.neighbours == 0 || setting_.slots == 1 || setting_.columns == 0 || below(5) != 0)
      return ok_status();
    const size_t slot =
        static_cast<size_t>((setting_.slot + 1 + below(setting_.slots - 1)) % setting_.slots);
    StepInput input = idle(1, setting_.columns, static_cast<int64_t>(slot));
    const std::vector<int32_t> ids = next_of(slot, 1 + below(setting_.columns));
    fill(input, 0, ids, position_[slot]);
    position_[slot] += static_cast<int64_t>(ids.size());
    CONTINUO_TRY([[maybe_unused]] const engine::StepOutput output,
                 stepper_.run({1, setting_.columns, setting_.attended, head_}, input));
    return ok_status();
  }

  static StepInput idle(int64_t rows, int64_t columns, int64_t slot) {
    const size_t count = static_cast<size_t>(rows);
    StepInput input{std::vector<int32_t>(count * static_cast<size_t>(columns)),
                    std::vector<int32_t>(count),
                    std::vector<int32_t>(count),
                    std::vector<int32_t>(count),
                    {},
                    {},
                    {},
                    {}};
    std::iota(input.slot.begin(), input.slot.end(), 0);
    if (rows == 1) input.slot[0] = static_cast<int32_t>(slot);
    return input;
  }

  int64_t vocab_;
  Stepper stepper_;
  Setting setting_;
  Head head_ = Head::kSample;
  std::mt19937_64 random_;
  std::vector<int64_t> position_;  // [B], the neighbours' tokens so far
};

void compare(const Logits& got, const Logits& wanted, const std::string& where,
             BitSurveyLine& line) {
  bool equal = true;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const std::vector<float>&x = got[i], &y = wanted[i];
    equal = equal && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
    for (size_t v = 0; v < x.size(); ++v) {
      const double difference = std::abs(double(x[v]) - double(y[v]));
      line.worst = difference <= line.worst || x[v] == y[v] ? line.worst : difference;
    }
    line.flips += best_of(x) != best_of(y);
    ++line.choices;
  }
  ++line.runs;
  line.equal += equal;
  if (!equal && (line.where.empty() || line.where.back() != where)) line.where.push_back(where);
}

class Survey {
 public:
  Survey(engine::LoadedModel& model, const BitSurveyOptions& options)
      : model_(model), options_(options), buckets_(model.target) {
    std::erase(buckets_.kernels, "continuo.attention");
    buckets_.attention_block = 0;
    std::mt19937 random(20261127);
    for (const int64_t length : options.prompts) {
      Sequence& sequence = sequences_.emplace_back();
      for (int64_t i = 0; i < length; ++i)
        sequence.prompt.push_back(
            static_cast<int32_t>(random() % uint64_t(model.model->facts().vocab)));
    }
  }

  Result<std::vector<BitSurveyLine>> run() {
    for (const BitSurveyAxis& axis : bit_survey_axes()) lines_.push_back({.axis = axis.name});
    CONTINUO_TRY(first_, all(Setting{}));
    CONTINUO_RETURN_IF_ERROR(against(first_, "again", "", {}));
    CONTINUO_RETURN_IF_ERROR(inside({}, first_));
    CONTINUO_RETURN_IF_ERROR(against(first_, "head", "greedy", {.other_head = true}));
    CONTINUO_RETURN_IF_ERROR(cuts());
    // What follows feeds prompts through decode steps: a graph less for each value.
    CONTINUO_TRY(fed_, all({.columns = 0}));
    for (size_t i = 0; i < fed_.size(); ++i) compare(fed_[i], first_[i], "", line("tokens"));
    CONTINUO_RETURN_IF_ERROR(lengths());
    for (const int64_t slots : options_.slots) {
      benches_.clear();
      CONTINUO_TRY(const auto own, all({.slots = slots, .columns = 0}));
      for (size_t i = 0; i < own.size(); ++i)
        compare(own[i], fed_[i], fmt::format("{}", slots), line("rows"));
      CONTINUO_RETURN_IF_ERROR(inside({.slots = slots, .columns = 0}, own));
    }
    return std::move(lines_);
  }

 private:
  // What changes while a server runs: the other rows, and the slot.
  Status inside(const Setting& base, const std::vector<Logits>& wanted) {
    const std::string among = fmt::format("{} rows", base.slots);
    Setting setting = base;
    for (const uint32_t seed : {1u, 2u}) {
      setting.neighbours = base.slots > 1 ? seed : 0;
      CONTINUO_RETURN_IF_ERROR(against(wanted, "neighbours", among, setting));
    }
    setting.neighbours = 0;
    for (const int64_t slot : std::set<int64_t>{1, base.slots / 2 + 1, base.slots - 1}) {
      if (slot < 1 || slot >= base.slots) continue;
      setting.slot = slot;
      CONTINUO_RETURN_IF_ERROR(
          against(wanted, "slot", fmt::format("{} of {}", slot, base.slots), setting));
    }
    return ok_status();
  }

  // How a prompt is cut.
  Status cuts() {
    for (const int64_t columns : {16, 128})
      CONTINUO_RETURN_IF_ERROR(
          against(first_, "width", fmt::format("{}", columns), {.columns = columns}));
    for (const int64_t first : {5, 23, 48})
      CONTINUO_RETURN_IF_ERROR(
          against(first_, "column", fmt::format("{}", first), {.first = first}));
    return ok_status();
  }

  // What is attended over.
  Status lengths() {
    CONTINUO_RETURN_IF_ERROR(against(fed_, "context", fmt::format("{}", kLongContext),
                                     {.context = kLongContext, .columns = 0}));
    CONTINUO_TRY(const auto own, all({.columns = 0, .buckets = true, .attended = kContext}));
    return against(own, "bucket", fmt::format("{}", kBucket),
                   {.columns = 0, .buckets = true, .attended = kBucket});
  }

  Status against(const std::vector<Logits>& wanted, const std::string& axis,
                 const std::string& where, const Setting& setting) {
    CONTINUO_TRY(const auto got, all(setting));
    for (size_t i = 0; i < got.size(); ++i) compare(got[i], wanted[i], where, line(axis));
    return ok_status();
  }

  Result<std::vector<Logits>> all(const Setting& setting) {
    std::unique_ptr<Bench>& bench = benches_[{setting.slots, setting.context, setting.buckets}];
    if (bench == nullptr)
      bench = std::make_unique<Bench>(model_, setting.buckets ? buckets_ : model_.target,
                                      setting.slots, setting.context, kBucket);
    std::vector<Logits> result;
    for (Sequence& each : sequences_) {
      CONTINUO_TRY(Logits logits, bench->run(setting, each, options_.tokens));
      result.push_back(std::move(logits));
    }
    return result;
  }

  BitSurveyLine& line(const std::string& axis) {
    return *std::find_if(lines_.begin(), lines_.end(),
                         [&](const BitSurveyLine& each) { return each.axis == axis; });
  }

  engine::LoadedModel& model_;
  BitSurveyOptions options_;
  graph::Target buckets_;
  std::vector<Sequence> sequences_;
  std::vector<Logits> first_, fed_;  // by the first time's graphs; fed_ by its decode steps alone
  std::map<std::tuple<int64_t, int64_t, bool>, std::unique_ptr<Bench>> benches_;
  std::vector<BitSurveyLine> lines_;
};

}  // namespace

const std::vector<BitSurveyAxis>& bit_survey_axes() {
  static const std::vector<BitSurveyAxis> axes{
      {"again", "nothing"},
      {"neighbours", "what the other rows of its steps do"},
      {"slot", "the slot, and so the row of decode steps"},
      {"head", "greedy steps run a graph of their own"},
      {"width", "columns of the prefill steps"},
      {"column", "where the prompt is cut, in steps of one width"},
      {"tokens", "the prompt goes through decode steps"},
      {"context", "positions a slot holds"},
      {"bucket", "positions that plain attention attends over"},
      {"rows", "slots, and so the rows of decode steps"},
  };
  return axes;
}

Result<std::vector<BitSurveyLine>> survey_bits(engine::LoadedModel& model,
                                               const BitSurveyOptions& options) {
  return Survey(model, options).run();
}

}  // namespace continuo::measure
