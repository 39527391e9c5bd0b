#include "engine/state_pool.h"

#include <algorithm>

namespace continuo::engine {
namespace {

using graph::Graph;
using graph::Value;
using ops::StateKind;
using ops::StateSpec;

// The sizes of one slot's part of an array: KV [H,S,D] cut to `bucket` positions.
Shape part_shape(const StateSpec& spec, int64_t bucket) {
  std::vector<int64_t> sizes = spec.shape.dims();
  if (spec.kind == StateKind::kKv) sizes[1] = bucket;
  sizes.insert(sizes.begin(), 1);
  return Shape(sizes);
}

std::vector<Value> starts(Graph& graph, Value slot, int64_t rank) {
  std::vector<Value> place(static_cast<size_t>(rank), graph::constant(graph, DType::kI32, 0));
  place[0] = slot;
  return place;
}

Result<runtime::BufferPtr> scalar(runtime::Executor& executor, DType dtype, const void* value) {
  return executor.upload({dtype, {}, static_cast<const std::byte*>(value)},
                         runtime::HostLifetime::kDuringCall);
}

}  // namespace

int64_t Snapshot::bytes() const {
  int64_t sum = 0;
  for (const auto& buffer : device)
    sum += buffer->shape().elements() * int64_t(byte_size(buffer->dtype()));
  for (const HostTensor& tensor : host) sum += int64_t(tensor.bytes());
  return sum;
}

StatePool::StatePool(runtime::Executor& executor, CompileCache& cache, int64_t slots,
                     int64_t context)
    : executor_(executor), cache_(cache), slots_(slots), context_(context) {}

Status StatePool::allocate(std::vector<StateSpec> specs) {
  arrays_.clear();
  specs_ = std::move(specs);
  for (const StateSpec& spec : specs_) {
    std::vector<int64_t> sizes = spec.shape.dims();
    sizes.insert(sizes.begin(), slots_);
    CONTINUO_TRY(runtime::BufferPtr buffer, executor_.zeros(spec.dtype, Shape(sizes)));
    arrays_.push_back(std::move(buffer));
  }
  lost_ = false;
  return ok_status();
}

int64_t StatePool::bucket(int64_t positions) const {
  const bool grows = std::any_of(specs_.begin(), specs_.end(),
                                 [](const StateSpec& spec) { return spec.kind == StateKind::kKv; });
  int64_t size = 64;
  while (grows && size < positions) size *= 2;
  return std::min(size, context_);
}

int64_t StatePool::bytes_per_slot() const {
  int64_t sum = 0;
  for (const StateSpec& spec : specs_)
    sum += spec.shape.elements() * int64_t(byte_size(spec.dtype));
  return sum;
}

Status StatePool::check_slot(int64_t slot) const {
  if (lost_)
    return error(ErrorCode::kUnavailable, "the state was lost by an operation that failed");
  if (slot >= 0 && slot < slots_ && !arrays_.empty()) return ok_status();
  return error(ErrorCode::kInvalidArgument, "slot: wanted one of {} allocated slots, got {}",
               arrays_.empty() ? 0 : slots_, slot);
}

// kTake: (slot, arrays...) -> parts. kPut: (slot, parts..., arrays...) -> arrays.
// kCopy: (from, to, arrays...) -> arrays. kFill: (slot, value, arrays...) -> arrays.
std::string StatePool::write(Operation operation, int64_t bucket) const {
  Graph g("state");
  const Value slot = g.argument("slot", DType::kI32, {});
  Value to, value;
  if (operation == Operation::kCopy) to = g.argument("to", DType::kI32, {});
  if (operation == Operation::kFill) value = g.argument("value", DType::kF32, {});
  std::vector<Value> parts;
  if (operation == Operation::kPut)
    for (const StateSpec& spec : specs_)
      parts.push_back(g.argument("part." + spec.name, spec.dtype, part_shape(spec, bucket)));
  for (size_t i = 0; i < specs_.size(); ++i) {
    const StateSpec& spec = specs_[i];
    const int argument = static_cast<int>(g.arguments().size());
    const Value array = g.argument(spec.name, spec.dtype, arrays_[i]->shape());
    const Shape shape = part_shape(spec, bucket);
    const auto from = starts(g, slot, array.rank());
    if (operation == Operation::kTake) {
      g.output(graph::dynamic_slice(array, from, shape.dims()));
      continue;
    }
    Value part;
    if (operation == Operation::kPut) part = parts[i];
    if (operation == Operation::kCopy) part = graph::dynamic_slice(array, from, shape.dims());
    if (operation == Operation::kFill)
      part = graph::broadcast_to(graph::convert(value, spec.dtype), shape);
    const Value place = operation == Operation::kCopy ? to : slot;
    g.output(graph::dynamic_update_slice(array, part, starts(g, place, array.rank())), argument);
  }
  return g.text();
}

Result<runtime::Program*> StatePool::program(Operation operation, int64_t bucket) {
  auto& program = programs_[{operation, bucket}];
  if (program == nullptr) {
    CONTINUO_TRY(program, cache_.get_or_compile(executor_, write(operation, bucket)));
  }
  return program.get();
}

Status StatePool::run(Operation operation, int64_t bucket,
                      const std::vector<runtime::Buffer*>& inputs) {
  CONTINUO_TRY(runtime::Program * compiled, program(operation, bucket));
  std::vector<runtime::Buffer*> arguments = inputs;
  for (const auto& array : arrays_) arguments.push_back(array.get());
  auto results = compiled->run(arguments);
  if (!results.ok()) {
    lost_ = true;
    return std::move(results).error();
  }
  arrays_ = std::move(results).value();
  return ok_status();
}

Result<Snapshot> StatePool::snapshot(int64_t slot, int64_t positions, SnapshotPlace place) {
  CONTINUO_RETURN_IF_ERROR(check_slot(slot));
  if (positions < 0 || positions > context_)
    return error(ErrorCode::kInvalidArgument, "positions: wanted at most {}, got {}", context_,
                 positions);
  Snapshot result;
  result.positions = positions;
  result.bucket = bucket(positions);
  const int32_t index = static_cast<int32_t>(slot);
  CONTINUO_TRY(const runtime::BufferPtr which, scalar(executor_, DType::kI32, &index));
  CONTINUO_TRY(runtime::Program * compiled, program(Operation::kTake, result.bucket));
  std::vector<runtime::Buffer*> arguments{which.get()};
  for (const auto& array : arrays_) arguments.push_back(array.get());
  CONTINUO_TRY(result.device, compiled->run(arguments));
  if (place == SnapshotPlace::kDevice) return result;
  for (const auto& buffer : result.device) {
    CONTINUO_TRY(HostTensor tensor, buffer->download());
    result.host.push_back(std::move(tensor));
  }
  result.device.clear();
  return result;
}

Status StatePool::restore(int64_t slot, const Snapshot& snapshot) {
  CONTINUO_RETURN_IF_ERROR(check_slot(slot));
  const bool on_host = !snapshot.host.empty();
  const size_t count = on_host ? snapshot.host.size() : snapshot.device.size();
  bool fits = count == specs_.size() && snapshot.bucket <= context_;
  for (size_t i = 0; fits && i < count; ++i) {
    const Shape& shape = on_host ? snapshot.host[i].shape() : snapshot.device[i]->shape();
    const DType dtype = on_host ? snapshot.host[i].dtype() : snapshot.device[i]->dtype();
    fits = shape == part_shape(specs_[i], snapshot.bucket) && dtype == specs_[i].dtype;
  }
  if (!fits)
    return error(ErrorCode::kInvalidArgument,
                 "the snapshot is of another model or does not fit a context of {}", context_);
  const int32_t index = static_cast<int32_t>(slot);
  CONTINUO_TRY(const runtime::BufferPtr which, scalar(executor_, DType::kI32, &index));
  std::vector<runtime::BufferPtr> uploaded;
  std::vector<runtime::Buffer*> inputs{which.get()};
  for (const HostTensor& tensor : snapshot.host) {
    CONTINUO_TRY(runtime::BufferPtr buffer,
                 executor_.upload(tensor.view(), runtime::HostLifetime::kDuringCall));
    uploaded.push_back(std::move(buffer));
    inputs.push_back(uploaded.back().get());
  }
  for (const auto& buffer : snapshot.device) inputs.push_back(buffer.get());
  return run(Operation::kPut, snapshot.bucket, inputs);
}

Status StatePool::fork(int64_t from, int64_t to, int64_t positions) {
  CONTINUO_RETURN_IF_ERROR(check_slot(from));
  CONTINUO_RETURN_IF_ERROR(check_slot(to));
  if (from == to) return ok_status();
  const int32_t source = static_cast<int32_t>(from), target = static_cast<int32_t>(to);
  CONTINUO_TRY(const runtime::BufferPtr a, scalar(executor_, DType::kI32, &source));
  CONTINUO_TRY(const runtime::BufferPtr b, scalar(executor_, DType::kI32, &target));
  return run(Operation::kCopy, bucket(positions), {a.get(), b.get()});
}

Status StatePool::prepare_forks() {
  if (specs_.empty()) return ok_status();
  for (int64_t size = 0; size != bucket(context_);) {
    size = bucket(size + 1);
    CONTINUO_TRY([[maybe_unused]] auto* compiled, program(Operation::kCopy, size));
  }
  return ok_status();
}

Status StatePool::clear(int64_t slot, float value) {
  CONTINUO_RETURN_IF_ERROR(check_slot(slot));
  const int32_t index = static_cast<int32_t>(slot);
  CONTINUO_TRY(const runtime::BufferPtr which, scalar(executor_, DType::kI32, &index));
  CONTINUO_TRY(const runtime::BufferPtr filler, scalar(executor_, DType::kF32, &value));
  return run(Operation::kFill, context_, {which.get(), filler.get()});
}

}  // namespace continuo::engine
