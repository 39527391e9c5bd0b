// For tests: a Step whose inputs, weights and state are given by name, run on the CPU plugin.
#pragma once

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ops/step.h"
#include "runtime/test_runner.h"

namespace continuo::ops {

class TestStep {
 public:
  explicit TestStep(
      const StepShape& shape, const Target& target = {},
      Step::HasTensor has = [](const std::string&) { return true; }, int64_t vocab = 2)
      : step(shape, target, std::move(has), vocab) {
    const size_t R = static_cast<size_t>(shape.rows);
    give("tokens", HostTensor(DType::kI32, {shape.rows, shape.columns}));
    std::vector<int32_t> slot(R);
    for (size_t r = 0; r < R; ++r) slot[r] = static_cast<int32_t>(r);
    rows(slot, std::vector<int32_t>(R, 0),
         std::vector<int32_t>(R, static_cast<int32_t>(shape.columns)));
  }

  // By default each row is the slot of its number and takes all columns from position 0.
  void rows(const std::vector<int32_t>& slot, const std::vector<int32_t>& start,
            const std::vector<int32_t>& length) {
    const Shape shape{step.rows()};
    give("slot", runtime::i32(shape, slot));
    give("start", runtime::i32(shape, start));
    give("length", runtime::i32(shape, length));
  }

  void give(const std::string& name, HostTensor tensor) {
    values_.insert_or_assign(name, std::move(tensor));
  }
  // An argument of the graph besides weights and state.
  Value input(const std::string& name, HostTensor tensor) {
    const Value value = step.graph().argument(name, tensor.dtype(), tensor.shape());
    give(name, std::move(tensor));
    return value;
  }
  const HostTensor& value(const std::string& name) const { return values_.at(name); }

  // -> head, then every state array in the order of step.state().
  std::vector<HostTensor> run(Value head) {
    step.finish(head);
    give("input", packed());
    std::vector<const HostTensor*> arguments;
    for (const Argument& argument : step.graph().arguments()) {
      const auto place = values_.find(argument.name);
      if (place == values_.end()) throw std::runtime_error("no value for " + argument.name);
      arguments.push_back(&place->second);
    }
    return runtime::run_graph(step.graph(), arguments);
  }

  Step step;

 private:
  // The line of each row: its tokens, slot, start and length.
  HostTensor packed() const {
    const size_t R = size_t(step.rows()), T = size_t(step.columns()), width = T + kRowFields;
    std::vector<int32_t> input(R * width, 0);
    const auto tokens = value("tokens").as<int32_t>();
    for (size_t r = 0; r < R; ++r) {
      std::copy_n(tokens.begin() + std::ptrdiff_t(r * T), T,
                  input.begin() + std::ptrdiff_t(r * width));
      input[r * width + T + kSlotField] = value("slot").as<int32_t>()[r];
      input[r * width + T + kStartField] = value("start").as<int32_t>()[r];
      input[r * width + T + kLengthField] = value("length").as<int32_t>()[r];
    }
    return runtime::i32(Shape{int64_t(R), int64_t(width)}, input);
  }
  std::map<std::string, HostTensor> values_;
};

}  // namespace continuo::ops
