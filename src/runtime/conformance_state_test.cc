// State arrays: written in place, chained over runs, copied by slot, and nothing else written.
#include "runtime/conformance.h"

namespace continuo::runtime {
namespace {

using testing::ElementsAre;

std::vector<float> filled(size_t count, float value) { return std::vector<float>(count, value); }

// What a step does to a recurrent array and to a KV array: all of one, some lines of the other.
TEST_P(Conformance, SeveralArraysAreDonatedToOutputsInAnotherOrder) {
  auto program = compile(R"(module {
    func.func public @main(%kv: tensor<4x3xf32> {tf.aliasing_output = 2 : i32},
                           %x: tensor<3xf32>,
                           %h: tensor<3xf32> {tf.aliasing_output = 1 : i32}, %at: tensor<i32>)
        -> (tensor<f32>, tensor<3xf32>, tensor<4x3xf32>) {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %zero_f = stablehlo.constant dense<0.0> : tensor<f32>
      %next = stablehlo.add %h, %x : tensor<3xf32>
      %line = stablehlo.reshape %next : (tensor<3xf32>) -> tensor<1x3xf32>
      %new = stablehlo.dynamic_update_slice %kv, %line, %at, %zero
          : (tensor<4x3xf32>, tensor<1x3xf32>, tensor<i32>, tensor<i32>) -> tensor<4x3xf32>
      %sum = stablehlo.reduce(%new init: %zero_f) applies stablehlo.add across dimensions = [0, 1]
          : (tensor<4x3xf32>, tensor<f32>) -> tensor<f32>
      return %sum, %next, %new : tensor<f32>, tensor<3xf32>, tensor<4x3xf32>
    } })");
  auto kv = must(executor().zeros(DType::kF32, {4, 3}));
  auto h = must(executor().zeros(DType::kF32, {3}));
  auto x = upload(floats({3}, {1, 2, 3}));
  const std::vector<float> sums = {6, 18, 36};
  for (const int32_t at : {0, 2, 3}) {
    auto where = upload_int(at);
    auto outputs = run(*program, {kv.get(), x.get(), h.get(), where.get()});
    EXPECT_THAT(values(*outputs[0]), ElementsAre(sums[static_cast<size_t>(at == 0 ? 0 : at - 1)]));
    h = std::move(outputs[1]);
    kv = std::move(outputs[2]);
  }
  EXPECT_THAT(values(*h), ElementsAre(3, 6, 9));
  EXPECT_THAT(values(*kv), ElementsAre(1, 2, 3, 0, 0, 0, 2, 4, 6, 3, 6, 9));
}

// Target::barrier_after_write.
TEST_P(Conformance, AWriteIsReadBehindABarrier) {
  auto program = compile(R"(module {
    func.func public @main(%kv: tensor<4x3xf32> {tf.aliasing_output = 1 : i32},
                           %line: tensor<1x3xf32>, %at: tensor<i32>)
        -> (tensor<f32>, tensor<4x3xf32>) {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %zero_f = stablehlo.constant dense<0.0> : tensor<f32>
      %new = stablehlo.dynamic_update_slice %kv, %line, %at, %zero
          : (tensor<4x3xf32>, tensor<1x3xf32>, tensor<i32>, tensor<i32>) -> tensor<4x3xf32>
      %written = stablehlo.optimization_barrier %new : tensor<4x3xf32>
      %sum = stablehlo.reduce(%written init: %zero_f) applies stablehlo.add across dimensions = [0, 1]
          : (tensor<4x3xf32>, tensor<f32>) -> tensor<f32>
      return %sum, %written : tensor<f32>, tensor<4x3xf32>
    } })");
  auto kv = must(executor().zeros(DType::kF32, {4, 3}));
  auto line = upload(floats({1, 3}, {1, 2, 3}));
  auto at = upload_int(2);
  const auto outputs = run(*program, {kv.get(), line.get(), at.get()});
  EXPECT_THAT(values(*outputs[0]), ElementsAre(6));
  EXPECT_THAT(values(*outputs[1]), ElementsAre(0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0));
}

TEST_P(Conformance, ScatterWritesLinesInPlace) {
  auto program = compile(R"(module {
    func.func public @main(%state: tensor<6x2xf32> {tf.aliasing_output = 0 : i32},
                           %at: tensor<3x1xi32>, %lines: tensor<3x2xf32>) -> tensor<6x2xf32> {
      %new = "stablehlo.scatter"(%state, %at, %lines) <{
          scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [1],
              inserted_window_dims = [0], scatter_dims_to_operand_dims = [0],
              index_vector_dim = 1>, unique_indices = true}> ({
        ^bb0(%old: tensor<f32>, %value: tensor<f32>):
          stablehlo.return %value : tensor<f32>
      }) : (tensor<6x2xf32>, tensor<3x1xi32>, tensor<3x2xf32>) -> tensor<6x2xf32>
      return %new : tensor<6x2xf32>
    } })");
  auto state = upload(floats({6, 2}, filled(12, 9)));
  const std::vector<int32_t> places = {4, 0, 5};
  auto at = upload(HostTensor::of<int32_t>(DType::kI32, {3, 1}, places));
  auto lines = upload(floats({3, 2}, {1, 2, 3, 4, 5, 6}));
  const auto output = run(*program, {state.get(), at.get(), lines.get()});
  EXPECT_THAT(values(*output[0]), ElementsAre(3, 4, 9, 9, 9, 9, 9, 9, 1, 2, 5, 6));
}

// Target::reuse_rewritten: given away, though no output has to lie where it lay.
TEST_P(Conformance, ADonorNeedsNoOutputInItsPlace) {
  auto program = compile(R"(module {
    func.func public @main(%old: tensor<2x2xf32> {jax.buffer_donor = true}, %x: tensor<2x2xf32>)
        -> (tensor<2x2xf32>, tensor<2x2xf32>) {
      %mixed = stablehlo.dot_general %old, %x, contracting_dims = [1] x [0]
          : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
      %next = stablehlo.add %x, %x : tensor<2x2xf32>
      return %mixed, %next : tensor<2x2xf32>, tensor<2x2xf32>
    } })");
  auto old = upload(floats({2, 2}, {1, 2, 3, 4}));
  auto x = upload(floats({2, 2}, {1, 0, 1, 1}));
  const auto outputs = run(*program, {old.get(), x.get()});
  EXPECT_THAT(values(*outputs[0]), ElementsAre(3, 2, 7, 4));
  EXPECT_THAT(values(*outputs[1]), ElementsAre(2, 0, 2, 2));
  EXPECT_FALSE(old->download().ok());
}

// fork: one slot's state into another's, in place.
TEST_P(Conformance, ASlotIsCopiedIntoAnother) {
  auto program = compile(R"(module {
    func.func public @main(%state: tensor<3x2x2xf32> {tf.aliasing_output = 0 : i32},
                           %from: tensor<i32>, %to: tensor<i32>) -> tensor<3x2x2xf32> {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %slot = stablehlo.dynamic_slice %state, %from, %zero, %zero, sizes = [1, 2, 2]
          : (tensor<3x2x2xf32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<1x2x2xf32>
      %new = stablehlo.dynamic_update_slice %state, %slot, %to, %zero, %zero
          : (tensor<3x2x2xf32>, tensor<1x2x2xf32>, tensor<i32>, tensor<i32>, tensor<i32>)
            -> tensor<3x2x2xf32>
      return %new : tensor<3x2x2xf32>
    } })");
  auto state = upload(floats({3, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  auto from = upload_int(2), to = upload_int(0);
  const auto output = run(*program, {state.get(), from.get(), to.get()});
  EXPECT_THAT(values(*output[0]), ElementsAre(9, 10, 11, 12, 5, 6, 7, 8, 9, 10, 11, 12));
}

// A row of length 0 writes back what it read.
TEST_P(Conformance, OldLinesAreReadBeforeTheyAreWritten) {
  auto program = compile(R"(module {
    func.func public @main(%state: tensor<4x2xf32> {tf.aliasing_output = 0 : i32},
                           %row: tensor<1x2xf32>, %at: tensor<i32>, %active: tensor<i1>)
        -> tensor<4x2xf32> {
      %zero = stablehlo.constant dense<0> : tensor<i32>
      %old = stablehlo.dynamic_slice %state, %at, %zero, sizes = [1, 2]
          : (tensor<4x2xf32>, tensor<i32>, tensor<i32>) -> tensor<1x2xf32>
      %kept = stablehlo.select %active, %row, %old
          : (tensor<i1>, tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x2xf32>
      %new = stablehlo.dynamic_update_slice %state, %kept, %at, %zero
          : (tensor<4x2xf32>, tensor<1x2xf32>, tensor<i32>, tensor<i32>) -> tensor<4x2xf32>
      return %new : tensor<4x2xf32>
    } })");
  BufferPtr state = upload(floats({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8}));
  auto row = upload(floats({1, 2}, {50, 60}));
  for (const bool active : {false, true}) {
    HostTensor flag(DType::kPred, {});
    flag.data()[0] = static_cast<std::byte>(active);
    auto on = upload(flag);
    auto at = upload_int(active ? 1 : 3);
    state = std::move(run(*program, {state.get(), row.get(), at.get(), on.get()})[0]);
    EXPECT_EQ(values(*state), active ? (std::vector<float>{1, 2, 50, 60, 5, 6, 7, 8})
                                     : (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}));
  }
}

// The same text without the attribute: the caller keeps what it gave.
TEST_P(Conformance, WhatIsNotDonatedIsNotWritten) {
  std::string text = kWriteRow;
  const std::string attribute = "{tf.aliasing_output = 1 : i32}";
  text.erase(text.find(attribute), attribute.size());
  auto program = compile(text);
  auto row = upload(floats({1, 4}, {1, 2, 3, 4}));
  auto at = upload_int(2);
  const HostTensor host = floats({5, 4}, filled(20, 7));
  for (const auto lifetime : {HostLifetime::kDuringCall, HostLifetime::kBuffer}) {
    auto state = must(executor().upload(host.view(), lifetime));
    for (int again = 0; again < 2; ++again) {
      const auto outputs = run(*program, {state.get(), row.get(), at.get()});
      EXPECT_EQ(values(*outputs[1])[8], 1);
      EXPECT_EQ(values(*state), filled(20, 7));
    }
  }
  EXPECT_EQ(floats({5, 4}, filled(20, 7)).as<float>()[8], host.as<float>()[8]);
}

TEST_P(Conformance, AnOutputThatIsAnArgumentIsItsOwnArray) {
  auto same = compile(R"(module {
    func.func public @main(%x: tensor<5x4xf32>) -> (tensor<5x4xf32>, tensor<5x4xf32>) {
      return %x, %x : tensor<5x4xf32>, tensor<5x4xf32>
    } })");
  auto write = compile(kWriteRow);
  auto x = upload(floats({5, 4}, filled(20, 7)));
  auto row = upload(floats({1, 4}, {1, 2, 3, 4}));
  auto at = upload_int(0);
  auto copies = run(*same, {x.get()});
  const auto written = run(*write, {copies[0].get(), row.get(), at.get()});
  EXPECT_EQ(values(*written[1])[0], 1);
  EXPECT_EQ(values(*copies[1]), filled(20, 7));
  EXPECT_EQ(values(*x), filled(20, 7));
}

}  // namespace
}  // namespace continuo::runtime
