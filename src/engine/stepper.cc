#include "engine/stepper.h"

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
      state_(executor, cache, options.slots, options.context) {}

Status Stepper::check(const StepKey& key, const StepInput& input) const {
  const size_t rows = static_cast<size_t>(key.rows);
  if (input.tokens.size() != rows * static_cast<size_t>(key.columns) || input.slot.size() != rows ||
      input.start.size() != rows || input.length.size() != rows)
    return error(ErrorCode::kInvalidArgument,
                 "step [{},{}]: wanted {} tokens and {} rows, got {} tokens, {} slots, {} starts, "
                 "{} lengths",
                 key.rows, key.columns, rows * static_cast<size_t>(key.columns), rows,
                 input.tokens.size(), input.slot.size(), input.start.size(), input.length.size());
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
  for (size_t i = 0; i < input.tokens.size(); ++i)
    if (input.tokens[i] < 0 || input.tokens[i] >= model_.facts().vocab)
      return error(ErrorCode::kInvalidArgument, "token {} of row {}: wanted an id below {}, got {}",
                   i % static_cast<size_t>(key.columns), i / static_cast<size_t>(key.columns),
                   model_.facts().vocab, input.tokens[i]);
  return ok_status();
}

Result<Stepper::Compiled*> Stepper::compiled(const StepKey& key) {
  if (auto place = programs_.find(key); place != programs_.end()) return &place->second;
  const models::StepShape shape{key.rows,     key.columns,    options_.slots, options_.context,
                                key.attended, options_.limit, key.head};
  CONTINUO_TRY(StepGraph step, models::write_step(model_, shape, target_));
  CONTINUO_RETURN_IF_ERROR(weights_.load(step.weights, options_.show_progress));
  CONTINUO_TRY(runtime::ProgramPtr program, cache_.get_or_compile(executor_, step.text));
  Compiled entry{std::move(program), {}, {}};
  for (const models::WeightSpec& spec : step.weights)
    entry.weights.push_back(weights_.find(spec.name));
  if (state_.specs().empty() && !step.state.empty())
    CONTINUO_RETURN_IF_ERROR(state_.allocate(step.state));
  // Arguments lie in the order of their first use; weights and state alternate.
  size_t weight = 0, state = 0;
  for (size_t i = 4; i < step.arguments.size(); ++i) {
    const bool is_state =
        state < step.state.size() && step.arguments[i].name == "state." + step.state[state].name;
    entry.order.push_back(is_state ? Source{true, state++} : Source{false, weight++});
  }
  return &programs_.emplace(key, std::move(entry)).first->second;
}

Status Stepper::prepare(const StepKey& key) {
  CONTINUO_TRY([[maybe_unused]] Compiled * entry, compiled(key));
  return ok_status();
}

Status Stepper::reset() { return state_.allocate(state_.specs()); }

Result<runtime::BufferPtr> Stepper::run(const StepKey& key, const StepInput& input) {
  if (state_lost())
    return error(ErrorCode::kUnavailable, "an earlier step failed and took the state with it");
  CONTINUO_RETURN_IF_ERROR(check(key, input));
  CONTINUO_TRY(Compiled * entry, compiled(key));
  std::vector<runtime::BufferPtr> inputs;
  const auto upload = [&](const std::vector<int32_t>& values, Shape shape) -> Status {
    CONTINUO_TRY(runtime::BufferPtr buffer,
                 executor_.upload({DType::kI32, std::move(shape),
                                   reinterpret_cast<const std::byte*>(values.data())},
                                  runtime::HostLifetime::kDuringCall));
    inputs.push_back(std::move(buffer));
    return ok_status();
  };
  CONTINUO_RETURN_IF_ERROR(upload(input.tokens, {key.rows, key.columns}));
  for (const auto* values : {&input.slot, &input.start, &input.length})
    CONTINUO_RETURN_IF_ERROR(upload(*values, {key.rows}));
  std::vector<runtime::Buffer*> arguments;
  for (const runtime::BufferPtr& each : inputs) arguments.push_back(each.get());
  for (const Source& source : entry->order)
    arguments.push_back(source.is_state ? state_.arrays()[source.index].get()
                                        : entry->weights[source.index]);
  auto outputs = entry->program->run(arguments);
  if (!outputs.ok()) {
    state_.mark_lost();
    return std::move(outputs).error();
  }
  for (size_t i = 0; i < state_.arrays().size(); ++i)
    state_.arrays()[i] = std::move((*outputs)[i + 1]);
  return std::move((*outputs)[0]);
}

}  // namespace continuo::engine
