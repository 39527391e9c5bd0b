// For tests of ops that carry state: steps whose rows have all lengths. Padding and idle rows must
// leave no trace, and the state of what is padding must stay bit for bit.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <numeric>

#include "ops/test_recurrence.h"
#include "ops/test_step.h"

namespace continuo::ops {

// The op under test in a step: reads what it needs of `values`, keeps its state as "s".
using WriteStep = std::function<Value(Step&, const NamedValues& values)>;

// -> y, next state; `data` holds [R,T,...] arrays, tensors "w.*" as they are, and state.s:[R,...].
inline std::vector<std::vector<float>> run_rows(const Data& data, int64_t columns,
                                                const std::vector<int32_t>& start,
                                                const std::vector<int32_t>& length,
                                                const WriteStep& op, bool naive = false) {
  const int64_t R = int64_t(start.size());
  Target target;
  target.naive_recurrences = naive;
  TestStep test({.rows = R, .columns = columns, .slots = R, .context = columns}, target);
  std::vector<int32_t> slot(start.size());
  std::iota(slot.begin(), slot.end(), 0);
  test.rows(slot, start, length);
  NamedValues values;
  for (const auto& [name, array] : data) {
    if (name == "state.s" || name.starts_with("w."))
      test.give(name, array.tensor());
    else
      values[name] = test.input(name, array.tensor());
  }
  std::vector<std::vector<float>> results;
  for (const HostTensor& tensor : test.run(op(test.step, values)))
    results.push_back(runtime::floats(tensor));
  return results;
}

// `rows` rows from `row` on, their first `columns` of T.
inline Data cut_rows(const Data& data, int64_t row, int64_t rows, int64_t columns) {
  Data cut;
  for (const auto& [name, array] : data) {
    if (name.starts_with("w.")) {
      cut[name] = array;
      continue;
    }
    std::vector<int64_t> sizes = array.shape.dims();
    const int64_t size = array.shape.elements() / sizes[0];
    const int64_t kept = name == "state.s" ? size : size / sizes[1] * columns;
    if (name != "state.s") sizes[1] = columns;
    sizes[0] = rows;
    std::vector<float> values;
    for (int64_t r = row; r < row + rows; ++r) {
      const auto begin = array.values.begin() + r * size;
      values.insert(values.end(), begin, begin + kept);
    }
    cut[name] = {Shape(sizes), values};
  }
  return cut;
}

// The first `count` values of row `row` of three.
inline std::vector<float> row_of(const std::vector<float>& all, size_t row, size_t count) {
  const auto begin = all.begin() + std::ptrdiff_t(row * (all.size() / 3));
  return {begin, begin + std::ptrdiff_t(count)};
}
inline std::vector<float> row_of(const std::vector<float>& all, size_t row) {
  return row_of(all, row, all.size() / 3);
}

// Equality of floats takes -0 for +0.
inline std::vector<uint32_t> bits(const std::vector<float>& values) {
  std::vector<uint32_t> result;
  for (const float value : values) result.push_back(std::bit_cast<uint32_t>(value));
  return result;
}

// Every other value one that a product by 1 or a sum with 0 may change: -0, denormals.
inline Floats with_odd_values(Floats array) {
  constexpr float kOdd[] = {-0.0F, 1e-42F, -1e-44F, -0.0F, 1.1754942e-38F};
  for (size_t i = 0; i < array.values.size(); i += 2) array.values[i] = kOdd[i / 2 % 5];
  return array;
}

// Three rows: one full, one fresh with 5 valid columns, one idle; data: [3,T,...], T > 5.
inline void expect_no_trace(Data data, int64_t columns, const WriteStep& op, bool naive) {
  const std::vector<int32_t> start{9, 0, 4}, length{int32_t(columns), 5, 0};
  data["state.s"] = with_odd_values(data.at("state.s"));
  const auto got = run_rows(data, columns, start, length, op, naive);
  Data other = data;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kPoison[] = {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity};
  for (auto& [name, array] : other) {
    if (name.starts_with("w.")) continue;
    if (name == "state.s") {  // what the last owner of row 1's slot left
      const size_t size = array.values.size() / 3;
      for (size_t i = size; i < 2 * size; ++i) array.values[i] = kPoison[i % 3];
      continue;
    }
    const size_t row = array.values.size() / 3, column = row / size_t(columns);
    for (size_t i = row + 5 * column; i < 3 * row; ++i) array.values[i] = kPoison[i % 3];
  }
  const auto poisoned = run_rows(other, columns, start, length, op, naive);
  EXPECT_EQ(bits(got[1]), bits(poisoned[1]));
  const size_t line = got[0].size() / 3, valid = line + 5 * line / size_t(columns);
  const auto seen = [&](const std::vector<float>& y) {
    return bits({y.begin(), y.begin() + std::ptrdiff_t(valid)});
  };
  EXPECT_EQ(seen(got[0]), seen(poisoned[0]));
  EXPECT_EQ(bits(row_of(got[1], 2)), bits(row_of(data.at("state.s").values, 2)));
  for (size_t row = 0; row < 2; ++row) {  // as by itself, without others and padding
    const int64_t count = length[row];
    const auto own = run_rows(cut_rows(data, int64_t(row), 1, count), count, {start[row]},
                              {int32_t(count)}, op, naive);
    EXPECT_LE(relative_difference(row_of(got[0], row, own[0].size()), own[0]), 1e-5) << row;
    EXPECT_LE(relative_difference(row_of(got[1], row), own[1]), 1e-5) << row;
  }
}

// The naive form on inputs that leave -0 what it is in valid columns (`negative_zeros` of them are
// -0, `positive` ones above 0): the padding behind them must do so, too.
inline void expect_padding_keeps_bits(Data data, int64_t columns, const WriteStep& op,
                                      const std::vector<std::string>& negative_zeros,
                                      const std::vector<std::string>& positive) {
  for (const std::string& name : negative_zeros) {
    std::vector<float>& values = data.at(name).values;
    const size_t row = values.size() / 3, column = row / size_t(columns);
    for (size_t i = 0; i < values.size(); ++i)  // the padding of row 1 holds something else
      values[i] = i >= row + 5 * column && i < 2 * row ? 0.3F : -0.0F;
  }
  for (const std::string& name : positive)
    for (float& value : data.at(name).values) value = std::abs(value) + 0.1F;
  std::vector<float>& before = data.at("state.s").values;
  for (size_t i = 0; i < before.size(); ++i) before[i] = i % 2 == 0 ? -0.0F : 1e-42F;
  const std::vector<int32_t> start{9, 6, 4};
  const auto got = run_rows(data, columns, start, {int32_t(columns), 5, 0}, op, true)[1];
  const auto unpadded = run_rows(cut_rows(data, 0, 3, 5), 5, start, {5, 5, 0}, op, true)[1];
  EXPECT_EQ(bits(row_of(got, 1)), bits(row_of(unpadded, 1)));
  EXPECT_EQ(bits(row_of(got, 2)), bits(row_of(before, 2)));
  for (size_t i = 0; i < got.size(); i += 2)
    EXPECT_TRUE(got[i] == 0 && std::signbit(got[i])) << i << ": " << got[i];
}

inline void expect_no_trace(const Data& data, int64_t columns, const WriteStep& op) {
  for (const bool naive : {false, true}) expect_no_trace(data, columns, op, naive);
}

}  // namespace continuo::ops
