// For tests of linear recurrences: runs of one graph on named inputs, and what must hold of every
// spelling.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ops/test_step.h"

namespace continuo::ops {

// Arrays by name. HostTensor cannot be copied; these are varied from run to run.
struct Floats {
  Shape shape;
  std::vector<float> values;
  HostTensor tensor() const { return runtime::f32(shape, values); }
};
using Data = std::map<std::string, Floats>;

inline Floats random_floats(Shape shape, uint32_t seed, float low = -1, float high = 1) {
  return {shape, runtime::floats(runtime::random_f32(shape, seed, low, high))};
}

// Runs a graph on them. `write` -> the outputs.
using NamedValues = std::map<std::string, Value>;
inline std::vector<std::vector<float>> run_on(
    const Data& data, const std::function<std::vector<Value>(const NamedValues&)>& write) {
  Graph graph;
  NamedValues values;
  std::vector<HostTensor> tensors;
  for (const auto& [name, array] : data) {
    values[name] = graph.argument(name, DType::kF32, array.shape);
    tensors.push_back(array.tensor());
  }
  std::vector<const HostTensor*> arguments;
  for (const HostTensor& tensor : tensors) arguments.push_back(&tensor);
  for (Value value : write(values)) graph.output(value);
  std::vector<std::vector<float>> results;
  for (const HostTensor& tensor : runtime::run_graph(graph, arguments))
    results.push_back(runtime::floats(tensor));
  return results;
}

inline std::vector<double> doubles(const Floats& array) {
  return {array.values.begin(), array.values.end()};
}

inline std::vector<float> narrowed(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

// Unit vectors along the last axis, each near its predecessor, as keys of real text are.
inline Floats unit_vectors(Shape shape, uint32_t seed) {
  std::vector<float> values = random_floats(shape, seed).values;
  const size_t size = size_t(shape[shape.rank() - 1]);
  for (size_t at = 0; at < values.size(); at += size) {
    double sum = 0;
    for (size_t i = at; i < at + size; ++i) {
      if (at >= size) values[i] = 0.3F * values[i] + 0.7F * values[i - size];
      sum += double(values[i]) * values[i];
    }
    for (size_t i = at; i < at + size; ++i) values[i] = float(values[i] / std::sqrt(sum));
  }
  return {shape, values};
}

// Logarithms of decays: some within 1e-4 of 1, some near 0, the others between.
inline Floats log_decays(Shape shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::vector<float> values(size_t(shape.elements()));
  for (float& value : values) {
    const float kind = uniform(random), size = uniform(random);
    value = kind < 0.6F ? -1e-4F * size : kind < 0.9F ? -0.5F * size : -200.0F * size;
  }
  return {shape, values};
}

// max |got - wanted| / max |wanted|
inline double relative_difference(const std::vector<float>& got, const std::vector<float>& wanted) {
  double largest = 0;
  for (float value : wanted) largest = std::fmax(largest, std::abs(double(value)));
  return runtime::max_difference(got, wanted) / largest;
}

// What a recurrence ought to give.
struct Outcome {
  std::vector<float> out, state;  // of all columns; after the last
};

// `write` -> the results of some spellings, each its outputs and its next state; all as `wanted`.
template <typename Write>
void expect_spellings(const Data& data, const Outcome& wanted, double tolerance,
                      const Write& write) {
  const auto got = run_on(data, [&](const NamedValues& values) {
    std::vector<Value> outputs;
    for (const auto& [out, state] : write(values)) {
      outputs.push_back(out);
      outputs.push_back(state);
    }
    return outputs;
  });
  for (size_t i = 0; i < got.size(); i += 2) {
    EXPECT_LE(relative_difference(got[i], wanted.out), tolerance) << "spelling " << i / 2;
    EXPECT_LE(relative_difference(got[i + 1], wanted.state), tolerance) << "spelling " << i / 2;
  }
}

// All `columns` at once by `chunks` give what they give one by one; data: [R,T,...] and "state".
template <typename Chunks, typename OneColumn>
void expect_one_by_one(const Data& data, int64_t columns, const Chunks& chunks,
                       const OneColumn& one_column) {
  const auto got = run_on(data, [&](const NamedValues& values) {
    const auto together = chunks(values);
    Value state = values.at("state");
    std::vector<Value> outs;
    for (int64_t t = 0; t < columns; ++t) {
      NamedValues column;
      for (const auto& [name, value] : values)
        column[name] = name == "state" ? state : slice(value, 1, t, t + 1);
      const auto result = one_column(column);
      outs.push_back(result.out);
      state = result.state;
    }
    return std::vector<Value>{together.out, concat(outs, 1), together.state, state};
  });
  EXPECT_LE(relative_difference(got[0], got[1]), 1e-5);
  EXPECT_LE(relative_difference(got[2], got[3]), 1e-5);
}

}  // namespace continuo::ops
