// For tests of ops that carry state: a Step whose inputs are given by name, run on the CPU plugin.
#pragma once

#include <cmath>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ops/step.h"
#include "runtime/test_runner.h"

namespace continuo::ops {

using Inputs = std::map<std::string, HostTensor>;

// tokens (zeros), slot, start and length as a step wants them.
inline Inputs step_inputs(int64_t columns, const std::vector<int32_t>& slot,
                          const std::vector<int32_t>& start, const std::vector<int32_t>& length) {
  const int64_t R = static_cast<int64_t>(slot.size());
  Inputs inputs;
  inputs.emplace("tokens", runtime::i32({R, columns}, std::vector<int32_t>(size_t(R * columns))));
  inputs.emplace("slot", runtime::i32({R}, slot));
  inputs.emplace("start", runtime::i32({R}, start));
  inputs.emplace("length", runtime::i32({R}, length));
  return inputs;
}

// A float32 input of the op under test.
inline Value input(Step& step, const Inputs& inputs, const std::string& name) {
  return step.graph().argument(name, DType::kF32, inputs.at(name).shape());
}

inline Step test_step(int64_t rows, int64_t columns, int64_t slots, int64_t context = 0) {
  StepShape shape;
  shape.rows = rows;
  shape.columns = columns;
  shape.slots = slots;
  shape.context = context > 0 ? context : columns;
  return Step(
      shape, Target{}, [](const std::string&) { return true; }, 2);
}

// Finishes the step with `y` as its head. -> y, then every state array's next version.
inline std::vector<HostTensor> run_step(Step& step, Value y, const Inputs& inputs) {
  step.finish(y);
  std::vector<const HostTensor*> arguments;
  for (const Argument& argument : step.graph().arguments()) {
    if (!inputs.contains(argument.name)) throw std::runtime_error("no input " + argument.name);
    arguments.push_back(&inputs.at(argument.name));
  }
  return runtime::run_graph(step.graph(), arguments);
}

// max |got - wanted| / max |wanted|
inline double relative_difference(const std::vector<float>& got, const std::vector<float>& wanted) {
  double largest = 0;
  for (float value : wanted) largest = std::fmax(largest, std::abs(double(value)));
  return runtime::max_difference(got, wanted) / largest;
}

}  // namespace continuo::ops
