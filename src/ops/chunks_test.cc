#include "ops/chunks.h"

#include <gtest/gtest.h>

#include "ops/test_ragged.h"

namespace continuo::ops {
namespace {

// state + the sum of x over a slice's columns, and the state before: what each turn sees.
std::pair<Value, Value> add_columns(Value state, const std::vector<Value>& slices) {
  return {state + reduce_sum(slices[0], {1}), expand_dims(state, 1) + slices[0]};
}

// valid:[3,T] for rows of these lengths.
Value valid_columns(Graph& graph, int64_t columns, const std::vector<int32_t>& length) {
  return compare(iota(graph, DType::kI32, {3, columns}, 1), Compare::kLt,
                 expand_dims(constant_i32(graph, {3}, length), 1));
}

TEST(Chunks, TurnsOfPaddingKeepTheStateBitForBit) {
  constexpr int64_t R = 3, T = 7, D = 4;
  Data in;
  in["state"] = with_odd_values(random_floats({R, D}, 1));
  in["x"] = {{R, T, D}, std::vector<float>(size_t(R * T * D), 0.0F)};
  const auto got = run_on(in, [](const NamedValues& values) {
    const Value x = values.at("x"), state = values.at("state");
    const Value live = valid_columns(x.graph(), T, {0, 3, 7});
    const auto by_column = scan_columns(
        state, {x},
        [](Value s, const std::vector<Value>& at) { return std::pair(s + at[0], at[0]); },
        {live, {}});
    return std::vector<Value>{scan_spans(state, {x}, 2, add_columns, {live, {}}).first,
                              scan_spans(state, {x}, T, add_columns, {live, {}}).first,
                              by_column.first};
  });
  for (const std::vector<float>& state : got) {
    EXPECT_EQ(bits(row_of(state, 0)), bits(row_of(in.at("state").values, 0)));
    EXPECT_NE(bits(row_of(state, 1)), bits(row_of(in.at("state").values, 1)));  // -0 + 0
  }
}

TEST(Chunks, ATurnIsPaddingWhereItsFirstColumnIs) {
  Graph graph;
  graph.output(
      convert(live_chunks(valid_columns(graph, 7, {0, 3, 7}), 2, 2), DType::kF32));  // [4,3*2]
  EXPECT_EQ(runtime::floats(runtime::run_graph(graph, {})[0]),
            (std::vector<float>{0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1,  //
                                0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1}));
}

TEST(Chunks, SpansFollowTheColumns) {
  Data in;
  in["state"] = random_floats({3, 4}, 1);
  in["x"] = random_floats({3, 7, 4}, 2);
  const auto got = run_on(in, [](const NamedValues& values) {
    const auto ones = scan_spans(values.at("state"), {values.at("x")}, 1, add_columns, {});
    const auto threes = scan_spans(values.at("state"), {values.at("x")}, 3,
                                   [](Value s, const std::vector<Value>& at) {
                                     return std::pair(s + reduce_sum(at[0], {1}),
                                                      expand_dims(s, 1) + cumsum(at[0], 1));
                                   },
                                   {});
    return std::vector<Value>{ones.first, threes.first, ones.second, threes.second};
  });
  EXPECT_LE(relative_difference(got[0], got[1]), 1e-6);
  EXPECT_LE(relative_difference(got[2], got[3]), 1e-6);
}

}  // namespace
}  // namespace continuo::ops
