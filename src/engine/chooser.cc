#include "engine/chooser.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "graph/control.h"
#include "graph/elementwise.h"
#include "graph/indexing.h"
#include "graph/reduce.h"
#include "graph/shaping.h"
#include "ops/penalise.h"
#include "ops/sample.h"

namespace continuo::engine {
namespace {

using graph::Graph;
using graph::Value;

// Where a row's line of the input has what.
enum Field : int64_t {
  kSlot,
  kActive,
  kTemperature,
  kTopK,
  kTopP,
  kMinP,
  kKey,  // two words
  kPenalised = kKey + 2,
  kRepetition,
  kReciprocal,
  kFrequency,
  kPresence,
  kUnfinished,
  kReport,
  kFields,
};

Result<runtime::BufferPtr> scalar(runtime::Executor& executor, int32_t value) {
  return executor.upload({DType::kI32, {}, reinterpret_cast<const std::byte*>(&value)},
                         runtime::HostLifetime::kDuringCall);
}

}  // namespace

// (logits[R,V], tokens[R], last[B], input[R,F], marks[B,V], bias[B,V]) -> (tokens[R], last'[B],
// report[R,W], marks'[B,V])
std::string Chooser::write(int64_t rows) const {
  const int64_t R = rows, B = slots_, V = vocab_;
  Graph g("choose");
  const Value logits = g.argument("logits", DType::kF32, {R, V});
  const Value before = g.argument("tokens", DType::kI32, {R});
  const Value last = g.argument("last", DType::kI32, {B});
  const Value input = g.argument("input", DType::kI32, {R, kFields});
  const Value marks = g.argument("marks", DType::kI32, {B, V});
  const Value bias = g.argument("bias", DType::kF32, {B, V});
  const auto word = [&](int64_t field) {
    return graph::reshape(graph::slice(input, 1, field, field + 1), {R});
  };
  const auto number = [&](int64_t field) { return graph::bitcast(word(field), DType::kF32); };
  const Value slot = word(kSlot);
  const auto lines = [&](Value of) { return R == B ? of : graph::take_rows(of, slot); };

  const Value changed = ops::penalise(logits, lines(marks), lines(bias),
                                      {word(kPenalised), number(kRepetition), number(kReciprocal),
                                       number(kFrequency), number(kPresence), word(kUnfinished)});
  const Value chosen = ops::sample(changed,
                                   {number(kTemperature), word(kTopK), number(kTopP), number(kMinP),
                                    graph::slice(input, 1, kKey, kKey + 2)},
                                   true, ops::search_on(executor_.target()));
  const Value allowed = graph::reduce_any(
      graph::compare(changed, graph::Compare::kGt, -std::numeric_limits<double>::infinity()), {1});
  const Value tokens = graph::select(
      graph::compare(before, graph::Compare::kLt, 0), before,
      graph::select(allowed, chosen, graph::constant(g, DType::kI32, ops::kNothingAllowed)));
  const Value active = graph::compare(word(kActive), graph::Compare::kNe, 0);
  g.output(tokens);
  // Idle rows write back what was there.
  const Value old = R == B ? last : graph::take_rows(last, slot);
  const Value next = graph::select(active, tokens, old);
  const Value put = graph::put_rows(graph::reshape(last, {B, 1}), slot,
                                    graph::reshape(graph::optimization_barrier(next), {R, 1}));
  g.output(R == B ? next : graph::reshape(put, {B}), 2);
  g.output(ops::report(logits, tokens, word(kReport), most()));
  const Value counted = graph::logical_and(
      graph::logical_and(active, graph::compare(word(kPenalised), graph::Compare::kNe, 0)),
      graph::compare(tokens, graph::Compare::kGe, 0));
  const Value once = graph::select(counted, graph::constant(g, DType::kI32, ops::kOnce),
                                   graph::constant(g, DType::kI32, 0));
  const Value place = slot * double(V) + graph::clamp(tokens, 0, double(V - 1));
  const Value flat = graph::reshape(marks, {B * V, 1});
  // Fused with the scatter, the read would make XLA write into a copy of the array.
  const Value words =
      graph::optimization_barrier(graph::take_rows(flat, place) + graph::reshape(once, {R, 1}));
  g.output(graph::reshape(graph::put_rows(flat, place, words), {B, V}), 4);
  return g.text();
}

std::string Chooser::write_set() const {
  Graph g("set_line");
  const Value marks = g.argument("marks", DType::kI32, {slots_, vocab_});
  const Value bias = g.argument("bias", DType::kF32, {slots_, vocab_});
  const Value slot = g.argument("slot", DType::kI32, {});
  const Value zero = graph::constant(g, DType::kI32, 0);
  const Value own_marks = g.argument("own_marks", DType::kI32, {1, vocab_});
  const Value own_bias = g.argument("own_bias", DType::kF32, {1, vocab_});
  g.output(graph::dynamic_update_slice(marks, own_marks, {slot, zero}), 0);
  g.output(graph::dynamic_update_slice(bias, own_bias, {slot, zero}), 1);
  return g.text();
}

std::string Chooser::write_take(int64_t rows) const {
  Graph g("take_row");
  const Value logits = g.argument("logits", DType::kF32, {rows, vocab_});
  const Value row = g.argument("row", DType::kI32, {});
  g.output(graph::dynamic_slice(logits, {row, graph::constant(g, DType::kI32, 0)}, {1, vocab_}));
  return g.text();
}

Status Chooser::prepare(int64_t rows) {
  if (slots_ * vocab_ > std::numeric_limits<int32_t>::max())
    return error(ErrorCode::kUnsupported,
                 "counting tokens on the device: expected slots x vocabulary "
                 "below 2^31, got {} x {}",
                 slots_, vocab_);
  runtime::ProgramPtr& program = programs_[rows];
  if (program == nullptr) {
    CONTINUO_TRY(program, cache_.get_or_compile(executor_, write(rows)));
  }
  runtime::ProgramPtr& row = rows_[rows];
  if (row == nullptr && rows > 1) {
    CONTINUO_TRY(row, cache_.get_or_compile(executor_, write_take(rows)));
  }
  if (set_ == nullptr) {
    CONTINUO_TRY(set_, cache_.get_or_compile(executor_, write_set()));
  }
  return allocate();
}

Status Chooser::allocate() {
  if (marks_ != nullptr && bias_ != nullptr) return ok_status();
  CONTINUO_TRY(marks_, executor_.zeros(DType::kI32, Shape{slots_, vocab_}));
  CONTINUO_TRY(bias_, executor_.zeros(DType::kF32, Shape{slots_, vocab_}));
  return ok_status();
}

void Chooser::reset() {
  marks_.reset();
  bias_.reset();
}

int64_t Chooser::bytes() const {
  return marks_ == nullptr ? 0 : slots_ * vocab_ * int64_t(sizeof(int32_t) + sizeof(float));
}

Status Chooser::set_line(int32_t slot, const SlotLine& line) {
  if (slot < 0 || slot >= slots_ || std::ssize(line.marks) != vocab_ ||
      std::ssize(line.bias) != vocab_)
    return error(ErrorCode::kInvalidArgument,
                 "line of slot {}: expected one of {} slots and {} words, got {} and {}", slot,
                 slots_, vocab_, line.marks.size(), line.bias.size());
  CONTINUO_RETURN_IF_ERROR(prepare(slots_));
  CONTINUO_TRY(const runtime::BufferPtr which, scalar(executor_, slot));
  const auto upload = [&](DType dtype, const void* data) {
    return executor_.upload({dtype, {1, vocab_}, static_cast<const std::byte*>(data)},
                            runtime::HostLifetime::kDuringCall);
  };
  CONTINUO_TRY(const runtime::BufferPtr marks, upload(DType::kI32, line.marks.data()));
  CONTINUO_TRY(const runtime::BufferPtr bias, upload(DType::kF32, line.bias.data()));
  std::vector<runtime::Buffer*> arguments{marks_.get(), bias_.get(), which.get(), marks.get(),
                                          bias.get()};
  auto outputs = set_->run(arguments);
  if (!outputs.ok()) {
    reset();
    return std::move(outputs).error();
  }
  marks_ = std::move((*outputs)[0]);
  bias_ = std::move((*outputs)[1]);
  return ok_status();
}

Result<runtime::BufferPtr> Chooser::upload(const Step& step) {
  packed_.assign(step.choices.size() * kFields, 0);
  for (size_t r = 0; r < step.choices.size(); ++r) {
    const ChoiceRow& row = step.choices[r];
    int32_t* fields = packed_.data() + r * kFields;
    const auto put = [&](Field field, float value) {
      fields[field] = std::bit_cast<int32_t>(value);
    };
    fields[kSlot] = step.slot[r];
    fields[kActive] = step.length[r] > 0;
    put(kTemperature, row.sampling.temperature);
    fields[kTopK] = row.sampling.top_k;
    put(kTopP, row.sampling.top_p);
    put(kMinP, row.sampling.min_p);
    for (size_t i = 0; i < 2; ++i)
      fields[kKey + int64_t(i)] = static_cast<int32_t>(row.sampling.key[i]);
    fields[kPenalised] = row.penalised;
    put(kRepetition, row.repetition);
    put(kReciprocal, 1 / row.repetition);
    put(kFrequency, row.frequency);
    put(kPresence, row.presence);
    fields[kUnfinished] = row.unfinished;
    fields[kReport] = std::clamp<int32_t>(row.report, 0, static_cast<int32_t>(most()));
  }
  return executor_.upload({DType::kI32,
                           {static_cast<int64_t>(step.choices.size()), kFields},
                           reinterpret_cast<const std::byte*>(packed_.data())},
                          runtime::HostLifetime::kDuringCall);
}

Result<Chooser::Chosen> Chooser::choose(const Step& step) {
  const auto rows = static_cast<int64_t>(step.choices.size());
  CONTINUO_RETURN_IF_ERROR(prepare(rows));
  CONTINUO_TRY(const runtime::BufferPtr input, upload(step));
  std::vector<runtime::Buffer*> arguments{step.logits, step.tokens,  step.last,
                                          input.get(), marks_.get(), bias_.get()};
  auto outputs = programs_.at(rows)->run(arguments);
  if (!outputs.ok()) {
    reset();
    return std::move(outputs).error();
  }
  marks_ = std::move((*outputs)[3]);
  return Chosen{std::move((*outputs)[0]), std::move((*outputs)[1]), std::move((*outputs)[2])};
}

Result<runtime::BufferPtr> Chooser::take_row(runtime::Buffer& logits, int64_t row) {
  const int64_t rows = logits.shape()[0];
  runtime::ProgramPtr& program = rows_[rows];
  if (program == nullptr) {
    CONTINUO_TRY(program, cache_.get_or_compile(executor_, write_take(rows)));
  }
  CONTINUO_TRY(const runtime::BufferPtr which, scalar(executor_, static_cast<int32_t>(row)));
  std::vector<runtime::Buffer*> arguments{&logits, which.get()};
  CONTINUO_TRY(std::vector<runtime::BufferPtr> outputs, program->run(arguments));
  return std::move(outputs[0]);
}

}  // namespace continuo::engine
