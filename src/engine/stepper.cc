#include "engine/stepper.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <future>
#include <numeric>
#include <thread>

#include "base/guard.h"

namespace continuo::engine {

using models::StepGraph;

Stepper::Stepper(runtime::Executor& executor, const models::Model& model,
                 const graph::Target& target, Weights& weights, CompileCache& cache,
                 const StepperOptions& options)
    : executor_(executor),
      model_(model),
      target_(target),
      weights_(weights),
      cache_(cache),
      options_(options),
      state_(executor, cache, options.slots, options.context),
      chooser_(executor, cache, options.slots, model.facts().vocab) {}

Status Stepper::check(const StepKey& key, const StepInput& input) const {
  const size_t rows = static_cast<size_t>(key.rows);
  if (input.tokens.size() != rows * static_cast<size_t>(key.columns) || input.slot.size() != rows ||
      input.start.size() != rows || input.length.size() != rows)
    return error(ErrorCode::kInvalidArgument,
                 "step [{},{}]: wanted {} tokens and {} rows, got {} tokens, {} slots, {} starts, "
                 "{} lengths",
                 key.rows, key.columns, rows * static_cast<size_t>(key.columns), rows,
                 input.tokens.size(), input.slot.size(), input.start.size(), input.length.size());
  for (const auto& [name, size] :
       {std::pair("feeds", input.feed.size()), std::pair("samplings", input.sampling.size()),
        std::pair("choices", input.choices.size())})
    if (size != 0 && (size != rows || !models::chooses_tokens(key.head)))
      return error(ErrorCode::kInvalidArgument,
                   "step [{},{}]: wanted no {} or, with a head that chooses tokens, {}, got {}",
                   key.rows, key.columns, name, rows, size);
  for (size_t r = 0; key.uniform && r < rows; ++r)
    if (key.columns != 1 || key.rows != options_.slots || input.start[r] != input.start[0] ||
        input.length[r] != 1)
      return error(ErrorCode::kInvalidArgument,
                   "row {}: a uniform step wanted [{},1] with one start, got start {} length {}", r,
                   options_.slots, input.start[r], input.length[r]);
  for (const size_t row : input.logits_of)
    if (row >= rows || !models::chooses_tokens(key.head))
      return error(ErrorCode::kInvalidArgument,
                   "logits of row {}: expected a row below {} and a head that chooses tokens", row,
                   rows);
  const int64_t attended = key.attended == 0 ? options_.context : key.attended;
  std::vector<bool> taken(static_cast<size_t>(options_.slots), false);
  for (size_t r = 0; r < rows; ++r) {
    const int64_t slot = input.slot[r], start = input.start[r], length = input.length[r];
    if (slot < 0 || slot >= options_.slots || taken[static_cast<size_t>(slot)])
      return error(ErrorCode::kInvalidArgument, "row {}: wanted a slot of its own below {}, got {}",
                   r, options_.slots, slot);
    taken[static_cast<size_t>(slot)] = true;
    if (key.rows == options_.slots && slot != static_cast<int64_t>(r))
      return error(ErrorCode::kInvalidArgument, "row {}: with a row a slot wanted slot {}, got {}",
                   r, r, slot);
    if (length < 0 || length > key.columns || start < 0 || start >= attended ||
        start + length > attended)
      return error(ErrorCode::kInvalidArgument,
                   "row {}: wanted 0 <= length <= {} and start + length <= {}, got start {} and "
                   "length {}",
                   r, key.columns, attended, start, length);
  }
  return check_tokens(key, input);
}

Status Stepper::check_tokens(const StepKey& key, const StepInput& input) const {
  const size_t columns = static_cast<size_t>(key.columns);
  for (size_t i = 0; i < input.tokens.size(); ++i) {
    const bool fed = !input.feed.empty() && i % columns == 0 && input.feed[i / columns] != 0;
    if (!fed && (input.tokens[i] < 0 || input.tokens[i] >= model_.facts().vocab))
      return error(ErrorCode::kInvalidArgument, "token {} of row {}: wanted an id below {}, got {}",
                   i % columns, i / columns, model_.facts().vocab, input.tokens[i]);
  }
  return ok_status();
}

Result<StepGraph> Stepper::write(const StepKey& key) const {
  const models::StepShape shape{key.rows,     key.columns,    options_.slots, options_.context,
                                key.attended, options_.limit, key.head,       key.uniform};
  return models::write_step(model_, shape, target_);
}

Status Stepper::adopt(const StepKey& key, const StepGraph& step, runtime::ProgramPtr program) {
  Compiled entry{std::move(program), {}, {}};
  for (const models::WeightSpec& spec : step.weights)
    entry.weights.push_back(weights_.find(spec.name));
  if (state_.specs().empty() && !step.state.empty())
    CONTINUO_RETURN_IF_ERROR(state_.allocate(step.state));
  // Arguments lie in the order of their first use; weights and state alternate.
  size_t weight = 0, state = 0;
  for (size_t i = models::chooses_tokens(key.head) ? 2 : 1; i < step.arguments.size(); ++i) {
    const bool is_state =
        state < step.state.size() && step.arguments[i].name == "state." + step.state[state].name;
    entry.order.push_back(is_state ? Source{true, state++} : Source{false, weight++});
  }
  programs_.emplace(key, std::move(entry));
  return ok_status();
}

// Graphs are written here, compiled by a few threads, and meanwhile weights are read.
Status Stepper::prepare(std::span<const StepKey> keys,
                        const std::function<void(int64_t)>& on_compiled) {
  struct Job {
    StepKey key;
    StepGraph graph;
    std::future<Result<runtime::ProgramPtr>> program;
  };
  std::vector<Job> jobs;
  for (const StepKey& key : keys) {
    if (programs_.contains(key)) continue;
    CONTINUO_TRY(StepGraph graph, write(key));
    // A compiler may abort over sizes that no file backs: what the file lacks is an error first.
    CONTINUO_RETURN_IF_ERROR(weights_.check(graph.weights));
    jobs.push_back({key, std::move(graph), {}});
  }
  std::atomic<size_t> next{0};
  std::vector<std::promise<Result<runtime::ProgramPtr>>> promises(jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i) jobs[i].program = promises[i].get_future();
  const auto compile = [&] {
    for (size_t i = next++; i < jobs.size(); i = next++)
      promises[i].set_value(
          guarded([&] { return cache_.get_or_compile(executor_, jobs[i].graph.text); }));
  };
  std::vector<std::jthread> threads;
  const size_t cores = std::max(1u, std::thread::hardware_concurrency());
  // Where the system has no more threads, fewer do; the last resort is this one.
  static_cast<void>(guarded([&]() -> Status {
    for (size_t i = 0; i < std::min(cores, jobs.size()); ++i) threads.emplace_back(compile);
    return ok_status();
  }));
  if (threads.empty()) compile();
  const auto collect = [&]() -> Status {
    for (const Job& job : jobs)
      CONTINUO_RETURN_IF_ERROR(weights_.load(job.graph.weights, options_.show_progress));
    for (size_t i = 0; i < jobs.size(); ++i) {
      CONTINUO_TRY(runtime::ProgramPtr program, jobs[i].program.get());
      CONTINUO_RETURN_IF_ERROR(adopt(jobs[i].key, jobs[i].graph, std::move(program)));
      if (on_compiled) on_compiled(static_cast<int64_t>(i) + 1);
    }
    return ok_status();
  };
  Status status = guarded(collect);
  next = jobs.size();  // after an error the rest is not begun
  return status;
}

Status Stepper::warm_up(std::span<const StepKey> keys) {
  for (const StepKey& key : keys) {
    const size_t rows = static_cast<size_t>(key.rows);
    StepInput idle{std::vector<int32_t>(rows * static_cast<size_t>(key.columns)),
                   std::vector<int32_t>(rows),
                   std::vector<int32_t>(rows),
                   std::vector<int32_t>(rows),
                   {},
                   {},
                   {},
                   {}};
    std::iota(idle.slot.begin(), idle.slot.end(), 0);
    if (key.head == models::Head::kSample && target_.samples) {
      idle.choices.resize(rows);
      idle.logits_of = {0};
      const auto vocab = static_cast<size_t>(model_.facts().vocab);
      CONTINUO_RETURN_IF_ERROR(
          set_line(0, {std::vector<int32_t>(vocab), std::vector<float>(vocab)}));
    }
    CONTINUO_TRY(const StepOutput output, run(key, idle));
    CONTINUO_TRY([[maybe_unused]] const HostTensor wait, output.head->download());
  }
  return ok_status();
}

Status Stepper::reset() {
  last_.reset();
  chooser_.reset();
  return state_.allocate(state_.specs());
}

// One line a row: its tokens, then the fields of RowField.
Result<runtime::BufferPtr> Stepper::upload(const StepKey& key, const StepInput& input) {
  const size_t rows = static_cast<size_t>(key.rows), columns = static_cast<size_t>(key.columns);
  const size_t width = columns + ops::kRowFields;
  packed_.assign(rows * width, 0);
  for (size_t r = 0; r < rows; ++r) {
    int32_t* line = packed_.data() + r * width;
    std::copy_n(input.tokens.data() + r * columns, columns, line);
    int32_t* fields = line + columns;
    fields[ops::kSlotField] = input.slot[r];
    fields[ops::kStartField] = input.start[r];
    fields[ops::kLengthField] = input.length[r];
    if (!input.feed.empty() && input.feed[r] != 0) {
      fields[ops::kFeedField] = 1;
      line[0] = 0;
    }
    if (input.sampling.empty()) continue;
    const SampleRow& sampling = input.sampling[r];
    fields[ops::kTemperatureField] = std::bit_cast<int32_t>(sampling.temperature);
    fields[ops::kTopKField] = sampling.top_k;
    fields[ops::kTopPField] = std::bit_cast<int32_t>(sampling.top_p);
    fields[ops::kMinPField] = std::bit_cast<int32_t>(sampling.min_p);
    for (size_t i = 0; i < 2; ++i)
      fields[ops::kKeyField + int64_t(i)] = static_cast<int32_t>(sampling.key[i]);
  }
  return executor_.upload({DType::kI32,
                           {key.rows, static_cast<int64_t>(width)},
                           reinterpret_cast<const std::byte*>(packed_.data())},
                          runtime::HostLifetime::kDuringCall);
}

Result<StepOutput> Stepper::run(const StepKey& key, const StepInput& input) {
  if (state_lost())
    return error(ErrorCode::kUnavailable, "an earlier step failed and took the state with it");
  CONTINUO_RETURN_IF_ERROR(check(key, input));
  CONTINUO_RETURN_IF_ERROR(prepare(key));
  const Compiled& entry = programs_.at(key);
  const bool chooses = models::chooses_tokens(key.head);
  CONTINUO_TRY(const runtime::BufferPtr packed, upload(key, input));
  std::vector<runtime::Buffer*> arguments{packed.get()};
  if (chooses) {
    if (last_ == nullptr) {
      CONTINUO_TRY(last_, executor_.zeros(DType::kI32, {options_.slots}));
    }
    arguments.push_back(last_.get());
  }
  for (const Source& source : entry.order)
    arguments.push_back(source.is_state ? state_.arrays()[source.index].get()
                                        : entry.weights[source.index]);
  auto outputs = entry.program->run(arguments);
  if (!outputs.ok()) {
    state_.mark_lost();
    return std::move(outputs).error();
  }
  StepOutput result{std::move((*outputs)[0]), nullptr, nullptr, {}};
  if (chooses) {
    result.logits = std::move((*outputs)[1]);
    last_ = std::move((*outputs)[2]);
  }
  const size_t first = chooses ? 3 : 1;
  for (size_t i = 0; i < state_.arrays().size(); ++i)
    state_.arrays()[i] = std::move((*outputs)[i + first]);
  if (const Status status = choose(input, result); !status.ok()) {
    state_.mark_lost();
    return status.error();
  }
  return result;
}

// What rows want beyond the head: launched at once, so that the next step does not delay it.
Status Stepper::choose(const StepInput& input, StepOutput& output) {
  if (!input.choices.empty()) {
    CONTINUO_TRY(Chooser::Chosen chosen,
                 chooser_.choose({output.head.get(), output.logits.get(), last_.get(), input.slot,
                                  input.length, input.choices}));
    output.head = std::move(chosen.tokens);
    last_ = std::move(chosen.last);
    if (std::any_of(input.choices.begin(), input.choices.end(),
                    [](const ChoiceRow& row) { return row.report >= 0; }))
      output.report = std::move(chosen.report);
  }
  for (const size_t row : input.logits_of) {
    if (output.logits->shape()[0] == 1) {
      output.rows.push_back(std::move(output.logits));
      break;
    }
    CONTINUO_TRY(runtime::BufferPtr line,
                 chooser_.take_row(*output.logits, static_cast<int64_t>(row)));
    output.rows.push_back(std::move(line));
  }
  return ok_status();
}

Status Stepper::set_line(int32_t slot, const SlotLine& line) {
  if (state_lost())
    return error(ErrorCode::kUnavailable, "an earlier step failed and took the state with it");
  Status status = chooser_.set_line(slot, line);
  if (!status.ok()) state_.mark_lost();
  return status;
}

}  // namespace continuo::engine
