#include "ops/step.h"

namespace continuo::ops {

Step::Step(const StepShape& shape, const Target& target, HasTensor has, int64_t vocab)
    : shape_(shape), target_(target), has_(std::move(has)), graph_(std::make_unique<Graph>()) {
  if (shape_.attended == 0) shape_.attended = shape_.context;
  if (shape_.limit == 0) shape_.limit = shape_.context;
  check(shape_.rows >= 1 && shape_.columns >= 1 && shape_.rows <= shape_.slots, "step",
        "wanted 1 <= rows <= slots and columns >= 1, got rows {} slots {} columns {}", shape_.rows,
        shape_.slots, shape_.columns);
  check(shape_.columns <= shape_.attended && shape_.attended <= shape_.context, "step",
        "wanted columns <= attended <= context, got {}, {}, {}", shape_.columns, shape_.attended,
        shape_.context);
  check(vocab >= 1, "step", "wanted a vocabulary, got size {}", vocab);
  const int64_t R = shape_.rows, T = shape_.columns;
  Graph& g = *graph_;
  input_ = g.argument("input", DType::kI32, {R, T + kRowFields});
  slot_ = field(kSlotField);
  start_ = field(kStartField);
  if (shape_.uniform) start_ = broadcast_to(slice(start_, 0, 0, 1), {R});
  length_ = field(kLengthField);
  if (chooses_tokens(shape_.head)) last_ = g.argument("last", DType::kI32, {shape_.slots});
  tokens_ = last_.valid() ? fed_tokens() : slice(input_, 1, 0, T);
  const Value column = iota(g, DType::kI32, {R, T}, 1);
  positions_ = column + expand_dims(start_, 1);
  valid_ = compare(column, Compare::kLt, expand_dims(length_, 1));
  active_ = compare(length_, Compare::kGt, 0);
  fresh_ = compare(start_, Compare::kEq, 0);
}

Value Step::field(RowField which) const {
  const int64_t column = columns() + which;
  return reshape(slice(input_, 1, column, column + 1), {rows()});
}

// The host's tokens, or for a row that asks for it what its slot chose last.
Value Step::fed_tokens() {
  const int64_t T = columns();
  // A row that computed no token has -1 there; the host ends it, but its next step may be under
  // way.
  const Value first =
      maximum(in_place() ? last_ : take_rows(last_, slot_), constant(graph(), DType::kI32, 0));
  const Value given = slice(input_, 1, 0, 1);
  const Value fed = select(expand_dims(compare(field(kFeedField), Compare::kNe, 0), 1),
                           expand_dims(first, 1), given);
  return T == 1 ? fed : concat({fed, slice(input_, 1, 1, T)}, 1);
}

// `last` after this step: active rows' slots have their new token.
Value Step::next_last(Value tokens) {
  if (in_place()) return select(active_, tokens, last_);
  Value next = last_;
  for (int64_t row = 0; row < rows(); ++row) {
    const Value slot = scalar(slot_, row);
    const Value old = dynamic_slice(last_, {slot}, {1});
    const Value chosen =
        select(slice(active_, 0, row, row + 1), slice(tokens, 0, row, row + 1), old);
    next = dynamic_update_slice(next, chosen, {slot});
  }
  return next;
}

Value Step::without_padding(Value x) {
  if (columns() == 1) return x;
  std::vector<int64_t> sizes{rows(), columns()};
  sizes.resize(static_cast<size_t>(x.rank()), 1);
  return select(reshape(valid_, Shape(sizes)), x, constant(graph(), x.dtype(), 0));
}

Value Step::finite_rows(Value x) {
  return reduce_all(logical_or(is_finite(x), logical_not(expand_dims(valid_, 2))), {1, 2});
}

Value Step::last_column(Value x) {
  const int64_t R = rows(), T = columns();
  check(x.rank() >= 2 && x.dim(0) == R && x.dim(1) == T, "last_column",
        "wanted x:[R={},T={},...], got {}", R, T, x.describe());
  std::vector<int64_t> sizes = x.shape().dims();
  sizes.erase(sizes.begin() + 1);
  if (T == 1) return reshape(x, Shape(sizes));
  std::vector<int64_t> flat = sizes;
  flat[0] = R * T;
  const Value column = maximum(length_ - 1, constant(graph(), DType::kI32, 0));
  return take_rows(reshape(x, Shape(flat)),
                   iota(graph(), DType::kI32, {R}, 0) * double(T) + column);
}

Value Step::weight(const std::string& tensor, Shape shape, DType dtype) {
  return weight(WeightSpec{tensor, dtype, shape, {tensor}, shape, false});
}

Value Step::weight(const WeightSpec& spec) {
  if (auto place = weight_values_.find(spec.name); place != weight_values_.end()) {
    check(place->second.type() == Type{spec.dtype, spec.shape}, "weight",
          "{} is used as {} and as {}", spec.name, place->second.describe(), spec.shape);
    return place->second;
  }
  for (int64_t dim : spec.shape.dims())
    check(dim >= 1, "weight", "{}: sizes must be positive, got {}", spec.name, spec.shape);
  const Value value = graph_->argument(spec.name, spec.dtype, spec.shape);
  weights_.push_back(spec);
  weight_values_.emplace(spec.name, value);
  return value;
}

RopeTable& Step::rope_table(const std::string& key, const std::function<RopeTable()>& make) {
  auto place = rope_tables_.find(key);
  if (place == rope_tables_.end()) place = rope_tables_.emplace(key, make()).first;
  return place->second;
}

Value Step::key_mask(int64_t window) {
  auto place = masks_.find(window);
  if (place != masks_.end()) return place->second;
  const Value key = iota(graph(), DType::kI32, {rows(), columns(), shape_.attended}, 2);
  // Padding columns past the last key still see one: a softmax over nothing is not a number.
  const Value own = minimum(expand_dims(positions_, 2),
                            constant(graph(), DType::kI32, double(shape_.attended - 1)));
  Value mask = compare(key, Compare::kLe, own);
  if (window > 0) mask = logical_and(mask, compare(key, Compare::kGt, own - double(window)));
  masks_.emplace(window, mask);
  return mask;
}

void Step::finish(Value head) {
  check(!last_.valid(), "finish", "a head that chooses tokens wanted tokens and logits");
  graph_->output(head);
  output_state();
}

void Step::finish(Value tokens, Value logits) {
  check(last_.valid(), "finish", "wanted a head that chooses tokens");
  check(tokens.type() == Type{DType::kI32, Shape{rows()}}, "finish",
        "wanted tokens:[R={}] i32, got {}", rows(), tokens.describe());
  graph_->output(tokens);
  graph_->output(logits);
  graph_->output(next_last(tokens), 1);
  output_state();
}

void Step::output_state() {
  for (const StateSpec& spec : state_specs_) {
    const StateArray& array = state_.at(spec.name);
    const bool moves = array.rewritten && !target_.reuse_rewritten;
    graph_->output(array.current, moves ? -1 : array.argument);
    if (moves) graph_->donate(array.argument);
  }
}

}  // namespace continuo::ops
