// Step's state: KV arrays [B,Hk,S,D] and recurrent arrays [B,...]. What design measured: one array
// a layer, heads before positions, written in place; read after a barrier, or XLA copies it whole.
#include "ops/step.h"

namespace continuo::ops {

Step::StateArray& Step::declare_state(StateSpec spec) {
  if (auto place = state_.find(spec.name); place != state_.end()) return place->second;
  std::vector<int64_t> sizes = spec.shape.dims();
  sizes.insert(sizes.begin(), shape_.slots);
  StateArray array;
  array.argument = static_cast<int>(graph_->arguments().size());
  array.current = graph_->argument("state." + spec.name, spec.dtype, Shape(sizes));
  state_specs_.push_back(spec);
  return state_.emplace(spec.name, array).first->second;
}

Value Step::scalar(Value vector, int64_t row) {
  return reshape(slice(vector, 0, row, row + 1), {});
}

Value Step::row_slot(int64_t row) {
  return in_place() ? constant(graph(), DType::kI32, double(row)) : scalar(slot_, row);
}

// One row's columns into [B,Hk,S,D]: reads the T positions that will be written, keeps what is
// there under padding columns, and writes all T back: never out of range, no trace of padding.
Value Step::write_columns(Value array, Value x, int64_t row) {
  const int64_t T = columns(), S = array.dim(2);
  const Value zero = constant(graph(), DType::kI32, 0);
  const Value slot = row_slot(row), start = scalar(start_, row), length = scalar(length_, row);
  const Value fresh_columns = slice(x, 0, row, row + 1);  // [1,Hk,T,D]
  const std::vector<int64_t> sizes{1, array.dim(1), T, array.dim(3)};
  // Near the end of the slot the T positions begin before `start`: column t lies at t + shift.
  const Value begin =
      T == 1 ? start : minimum(start, constant(graph(), DType::kI32, double(S - T)));
  const std::vector<Value> place{slot, zero, begin, zero};
  const Value old = dynamic_slice(array, place, sizes);
  Value moved = fresh_columns;
  const Value offset = iota(graph(), DType::kI32, {1, 1, T, 1}, 2);
  Value keep_new = compare(offset, Compare::kLt, length);
  if (T > 1) {
    const Value shift = start - begin;
    moved =
        dynamic_slice(pad(fresh_columns, 2, T, 0),
                      {zero, zero, constant(graph(), DType::kI32, double(T)) - shift, zero}, sizes);
    keep_new = logical_and(compare(offset, Compare::kGe, shift),
                           compare(offset, Compare::kLt, shift + length));
  }
  return dynamic_update_slice(array, select(keep_new, moved, old), place);
}

// All rows' one column by one scatter on a flat index; idle rows write back what was there.
Value Step::scatter_kv(Value array, Value x) {
  const int64_t R = rows(), H = array.dim(1), S = array.dim(2), D = array.dim(3);
  const Value row = iota(graph(), DType::kI32, {R, H}, 0),
              head = iota(graph(), DType::kI32, {R, H}, 1);
  const Value slot = in_place() ? row : broadcast_to(expand_dims(slot_, 1), {R, H});
  const Value flat =
      reshape((slot * double(H) + head) * double(S) + expand_dims(start_, 1), {R * H});
  const Value lines = reshape(array, {shape_.slots * H * S, D});
  const Value old = reshape(take_rows(lines, flat), {R, H, D});
  const Value next = select(reshape(active_, {R, 1, 1}), reshape(x, {R, H, D}), old);
  // Fused with the scatter, the read of `old` would make XLA write into a copy of the array.
  const Value updates = optimization_barrier(reshape(next, {R * H, D}));
  return reshape(put_rows(lines, flat, updates), array.shape());
}

Value Step::write_kv(const std::string& name, Value x) {
  const int64_t R = rows(), T = columns(), S = shape_.context;
  check(x.rank() == 4 && x.dim(0) == R && x.dim(1) == T, "append_kv",
        "{}: wanted x:[R={},T={},Hk,D], got {}", name, R, T, x.describe());
  const int64_t H = x.dim(2), D = x.dim(3);
  StateArray& state = declare_state({name, StateKind::kKv, target_.kv, Shape{H, S, D}, S});
  const Value columns_in = convert(transpose(x, {0, 2, 1, 3}), target_.kv);  // [R,Hk,T,D]
  if (shape_.uniform) {
    const Value zero = constant(graph(), DType::kI32, 0);
    state.current =
        dynamic_update_slice(state.current, columns_in, {zero, zero, scalar(start_, 0), zero});
  } else if (T == 1 && R > 1 && target_.kv_write == KvWrite::kScatter) {
    state.current = scatter_kv(state.current, columns_in);
  } else {
    for (int64_t row = 0; row < R; ++row)
      state.current = write_columns(state.current, columns_in, row);
  }
  if (target_.barrier_after_write) state.current = optimization_barrier(state.current);
  return state.current;
}

Value Step::append_kv(const std::string& name, Value x) {
  const Value written = write_kv(name, x);  // [B,Hk,S,D]
  const int64_t H = written.dim(1), S = written.dim(2), D = written.dim(3), C = shape_.attended;
  if (in_place()) return C == S ? written : slice(written, 2, 0, C);
  std::vector<Value> parts;
  const Value zero = constant(graph(), DType::kI32, 0);
  for (int64_t row = 0; row < rows(); ++row)
    parts.push_back(dynamic_slice(written, {row_slot(row), zero, zero, zero}, {1, H, C, D}));
  return concat(parts, 0);
}

Value Step::load_state(const std::string& name, const Shape& shape) {
  StateArray& state = declare_state({name, StateKind::kRecurrent, DType::kF32, shape, 0});
  if (in_place()) {
    state.before = state.current;
  } else {
    std::vector<Value> parts;
    for (int64_t row = 0; row < rows(); ++row) {
      std::vector<Value> starts(static_cast<size_t>(state.current.rank()),
                                constant(graph(), DType::kI32, 0));
      starts[0] = row_slot(row);
      std::vector<int64_t> sizes = state.current.shape().dims();
      sizes[0] = 1;
      parts.push_back(dynamic_slice(state.current, starts, sizes));
    }
    state.before = concat(parts, 0);
  }
  std::vector<int64_t> ones(static_cast<size_t>(state.before.rank()), 1);
  ones[0] = rows();
  return select(reshape(fresh_, Shape(ones)), constant(graph(), DType::kF32, 0), state.before);
}

void Step::store_state(const std::string& name, Value next) {
  const auto place = state_.find(name);
  check(place != state_.end() && place->second.before.valid(), "store_state",
        "{} was not loaded in this step", name);
  StateArray& state = place->second;
  check(next.type() == state.before.type(), "store_state", "{}: wanted {}, got {}", name,
        state.before.describe(), next.describe());
  std::vector<int64_t> ones(static_cast<size_t>(next.rank()), 1);
  ones[0] = rows();
  const Value kept = select(reshape(active_, Shape(ones)), next, state.before);
  if (in_place()) {
    state.current = kept;
    state.rewritten = true;
    return;
  }
  for (int64_t row = 0; row < rows(); ++row) {
    std::vector<Value> starts(static_cast<size_t>(kept.rank()), constant(graph(), DType::kI32, 0));
    starts[0] = row_slot(row);
    state.current = dynamic_update_slice(state.current, slice(kept, 0, row, row + 1), starts);
  }
}

}  // namespace continuo::ops
