// The stepper on a tiny llama: host checks, and what a step may and may not touch in the state.
#include "engine/stepper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <cmath>
#include <limits>

#include <filesystem>
#include <functional>

#include "checkpoint/checkpoint.h"
#include "engine/fake_executor_test.h"
#include "engine/loaded_model.h"
#include "engine/probe.h"
#include "runtime/test_runner.h"

namespace continuo::engine {
namespace {

using models::Head;
using testing::HasSubstr;

constexpr int64_t kSlots = 3, kContext = 16;
// What a freed slot may hold: keys anything, values anything finite (ops/attention.cc stores no
// other).
constexpr float kKeyPoison = std::numeric_limits<float>::quiet_NaN(), kValuePoison = 3e38f;
const std::string kLlama = CONTINUO_TEST_DATA "/goldens/llama";

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}

std::string cache_folder() {
  return std::filesystem::path(testing::TempDir()) / fmt::format("stepper.{}", getpid());
}

// The golden model over an executor.
struct Loaded {
  explicit Loaded(runtime::Executor& executor, graph::Target target = {})
      : Loaded(executor, must(checkpoint::open(kLlama)), target) {}
  Loaded(runtime::Executor& executor, checkpoint::Checkpoint opened, const graph::Target& target)
      : checkpoint(std::move(opened)),
        model(must(make_model(checkpoint))),
        cache({cache_folder()}),
        weights(executor, *checkpoint.tensors),
        stepper(executor, *model, target, weights, cache, {kSlots, kContext, 0, false}) {}

  checkpoint::Checkpoint checkpoint;
  std::unique_ptr<models::Model> model;
  CompileCache cache;
  Weights weights;
  Stepper stepper;
};

class StepperTest : public testing::TestWithParam<graph::KvWrite> {
 protected:
  static void TearDownTestSuite() { std::filesystem::remove_all(cache_folder()); }
  static graph::Target target() {
    graph::Target target = runtime::test_executor().target();
    target.kv_write = GetParam();
    return target;
  }
  std::vector<float> run(const StepKey& key, const StepInput& input) {
    return runtime::floats(must(must(stepper().run(key, input)).head->download()));
  }
  // Logits of one row.
  std::vector<float> row(const std::vector<float>& logits, size_t index) const {
    const size_t vocab = size_t(loaded_.model->facts().vocab);
    return {logits.begin() + long(index * vocab), logits.begin() + long((index + 1) * vocab)};
  }
  // Values are finite in any case.
  void poison_state(float keys = kValuePoison) {
    for (size_t i = 0; i < stepper().state().arrays().size(); ++i) {
      runtime::BufferPtr& each = stepper().state().arrays()[i];
      const bool values = stepper().state().specs()[i].name.ends_with(".v");
      HostTensor tensor(each->dtype(), each->shape());
      for (float& element : tensor.as<float>()) element = values ? kValuePoison : keys;
      each =
          must(runtime::test_executor().upload(tensor.view(), runtime::HostLifetime::kDuringCall));
    }
  }
  // Every state array [B,H,S,D] is poison but where written(slot, position) says so.
  void expect_written_only(const std::function<bool(int64_t, int64_t)>& written) {
    for (const runtime::BufferPtr& each : stepper().state().arrays()) {
      const HostTensor tensor = must(each->download());
      const Shape& shape = tensor.shape();
      ASSERT_EQ(shape[0], kSlots);
      ASSERT_EQ(shape[2], kContext);
      int64_t left = 0;
      for (int64_t i = 0; i < shape.elements(); ++i) {
        const int64_t position = i / shape[3] % kContext,
                      slot = i / (shape[1] * shape[2] * shape[3]);
        const bool is_poison = tensor.as<float>()[size_t(i)] == kValuePoison;
        if (written(slot, position))
          left += is_poison;
        else
          ASSERT_TRUE(is_poison) << "slot " << slot << " position " << position;
      }
      EXPECT_EQ(left, 0);
    }
  }
  Stepper& stepper() { return loaded_.stepper; }

  Loaded loaded_{runtime::test_executor(), target()};
};
INSTANTIATE_TEST_SUITE_P(KvWrites, StepperTest,
                         testing::Values(graph::KvWrite::kUpdateSlice, graph::KvWrite::kScatter),
                         [](const auto& each) { return each.index == 0 ? "slices" : "scatter"; });

const StepKey kAllRows{kSlots, 4, 0, Head::kLast}, kAllOne{kSlots, 1, 0, Head::kLast};
const std::vector<int32_t> kIds{5, 7, 9, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59};

// Feeds kIds[0, count) into a slot, as `rows` rows of `columns`; the last logits of that slot.
std::vector<float> feed(
    const std::function<std::vector<float>(const StepKey&, const StepInput&)>& run, int64_t columns,
    int64_t slot, int64_t count) {
  std::vector<float> logits;
  for (int64_t start = 0; start < count; start += columns) {
    const int64_t length = std::min(columns, count - start);
    StepInput input{std::vector<int32_t>(size_t(columns), 0),
                    {int32_t(slot)},
                    {int32_t(start)},
                    {int32_t(length)}};
    std::copy_n(kIds.begin() + start, length, input.tokens.begin());
    logits = run({1, columns, 0, Head::kLast}, input);
  }
  return logits;
}

TEST_P(StepperTest, PaddingAndIdleRowsLeaveNoTrace) {
  ASSERT_TRUE(stepper().prepare(kAllRows).ok());
  poison_state();
  // Row 0: two columns and two of padding; row 1: idle; row 2: padding would pass the slot's end.
  run(kAllRows, {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {0, 1, 2}, {0, 6, 14}, {2, 0, 2}});
  expect_written_only([](int64_t slot, int64_t position) {
    return (slot == 0 && position < 2) || (slot == 2 && position >= 14);
  });
}

TEST_P(StepperTest, WarmingUpLeavesNoTrace) {
  const std::vector<StepKey> keys{kAllRows, kAllOne, {1, 4, 0, Head::kLast}};
  ASSERT_TRUE(stepper().prepare(keys).ok());
  poison_state();
  const Status status = stepper().warm_up(keys);
  ASSERT_TRUE(status.ok()) << status.error().message;
  expect_written_only([](int64_t, int64_t) { return false; });
}

TEST_P(StepperTest, OneColumnWritesOnePosition) {
  ASSERT_TRUE(stepper().prepare(kAllOne).ok());
  poison_state();
  run(kAllOne, {{1, 2, 3}, {0, 1, 2}, {0, 15, 7}, {1, 1, 0}});
  expect_written_only([](int64_t slot, int64_t position) {
    return (slot == 0 && position == 0) || (slot == 1 && position == 15);
  });
}

TEST_P(StepperTest, FewerRowsThanSlotsTouchTheirSlotsOnly) {
  const StepKey two{2, 4, 0, Head::kLast};
  ASSERT_TRUE(stepper().prepare(two).ok());
  poison_state();
  run(two, {{1, 2, 3, 4, 5, 6, 7, 8}, {2, 0}, {0, 13}, {4, 3}});
  expect_written_only([](int64_t slot, int64_t position) {
    return (slot == 2 && position < 4) || (slot == 0 && position >= 13);
  });
}

// A slot's last owner never shows: not in logits, not bit for bit.
TEST_P(StepperTest, PoisonInFreedSlotsNeverShows) {
  const StepInput prompt{{5, 7, 9, 11, 0, 0, 0, 0, 3, 1, 0, 0}, {0, 1, 2}, {0, 0, 0}, {4, 0, 2}};
  const StepInput next{{13, 0, 4}, {0, 1, 2}, {4, 0, 2}, {1, 0, 1}};
  ASSERT_TRUE(stepper().prepare(kAllRows).ok());
  ASSERT_TRUE(stepper().reset().ok());
  const auto first = run(kAllRows, prompt), second = run(kAllOne, next);
  poison_state(kKeyPoison);
  const auto poisoned_first = run(kAllRows, prompt), poisoned_second = run(kAllOne, next);
  for (size_t busy : {0, 2}) {
    EXPECT_EQ(row(poisoned_first, busy), row(first, busy));
    EXPECT_EQ(row(poisoned_second, busy), row(second, busy));
  }
}

TEST_P(StepperTest, SlotIndirectionGivesTheSameAsInPlace) {
  StepInput input{kIds, {0, 1, 2}, {0, 0, 0}, {0, 0, 0}};
  input.tokens.resize(12);
  std::copy_n(kIds.begin(), 4, input.tokens.begin() + 8);
  input.length[2] = 4;
  const auto in_place = row(run(kAllRows, input), 2);
  ASSERT_TRUE(stepper().reset().ok());
  const auto through_slot = feed([&](auto& k, auto& i) { return run(k, i); }, 4, 2, 4);
  EXPECT_LE(runtime::max_difference(through_slot, in_place), 1e-5);
}

// However a full slot was fed, also where the last chunk's padding passes its end.
TEST_P(StepperTest, TheEndOfASlotIsLikeAnyPlace) {
  const auto fed = [&](int64_t columns) {
    return feed([&](auto& k, auto& i) { return run(k, i); }, columns, 1, kContext);
  };
  const auto whole = fed(kContext);
  for (int64_t columns : {1, 3, 5, 7, 10})
    EXPECT_LE(runtime::max_difference(fed(columns), whole), 1e-4) << columns;
}

TEST_P(StepperTest, ResetEmptiesEverySlot) {
  ASSERT_TRUE(stepper().prepare(kAllRows).ok());
  poison_state();
  ASSERT_TRUE(stepper().reset().ok());
  for (const runtime::BufferPtr& each : stepper().state().arrays()) {
    const HostTensor tensor = must(each->download());
    for (float element : tensor.as<float>()) ASSERT_EQ(element, 0);
  }
}

// --- what the host checks, before anything runs ---

class StepperChecks : public testing::Test {
 protected:
  std::string refusal(const StepKey& key, const StepInput& input) {
    const auto result = loaded_.stepper.run(key, input);
    if (result.ok()) return "";
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(loaded_.stepper.state_lost());
    EXPECT_EQ(executor_.runs, 0);
    return result.error().message;
  }
  // Two rows of three slots, two columns.
  std::string refusal(const std::function<void(StepInput&)>& spoil) {
    StepInput input{{1, 2, 3, 4}, {2, 0}, {0, 5}, {2, 1}};
    spoil(input);
    return refusal(StepKey{2, 2, 0, Head::kLast}, input);
  }
  void let_run() {
    executor_.outputs = {Shape{1}};
    for (const models::StateSpec& spec : loaded_.stepper.state().specs())
      executor_.outputs.push_back(spec.shape);
  }
  FakeExecutor executor_;
  Loaded loaded_{executor_};
};

TEST_F(StepperChecks, NoMemoryWhileCompilingIsAnError) {
  executor_.compile_throws = true;
  const Status status = loaded_.stepper.prepare({1, 3, 0, Head::kLast});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(status.error().message, "out of memory");
}

TEST_F(StepperChecks, Slots) {
  EXPECT_EQ(refusal([](StepInput& i) { i.slot[1] = 3; }),
            "row 1: wanted a slot of its own below 3, got 3");
  EXPECT_EQ(refusal([](StepInput& i) { i.slot[0] = -1; }),
            "row 0: wanted a slot of its own below 3, got -1");
  EXPECT_EQ(refusal([](StepInput& i) { i.slot[1] = 2; }),
            "row 1: wanted a slot of its own below 3, got 2");
  EXPECT_EQ(refusal(StepKey{3, 1, 0, Head::kLast}, {{1, 1, 1}, {0, 2, 1}, {0, 0, 0}, {1, 1, 1}}),
            "row 1: with a row a slot wanted slot 1, got 2");
  EXPECT_NE(refusal(StepKey{4, 1, 0, Head::kLast},
                    {{1, 1, 1, 1}, {0, 1, 2, 3}, {0, 0, 0, 0}, {1, 1, 1, 1}}),
            "");
}

TEST_F(StepperChecks, Positions) {
  const std::string wanted = "wanted 0 <= length <= 2 and start + length <= 16, got ";
  EXPECT_EQ(refusal([](StepInput& i) { i.length[0] = 3; }),
            "row 0: " + wanted + "start 0 and length 3");
  EXPECT_EQ(refusal([](StepInput& i) { i.length[0] = -1; }),
            "row 0: " + wanted + "start 0 and length -1");
  EXPECT_EQ(refusal([](StepInput& i) { i.start[1] = -1; }),
            "row 1: " + wanted + "start -1 and length 1");
  EXPECT_EQ(refusal([](StepInput& i) { i.start[0] = 15; }),
            "row 0: " + wanted + "start 15 and length 2");
  EXPECT_EQ(refusal([](StepInput& i) { i.start[1] = 16, i.length[1] = 0; }),
            "row 1: " + wanted + "start 16 and length 0");
  EXPECT_EQ(refusal([](StepInput& i) { i.start[1] = 2147483647; }),
            "row 1: " + wanted + "start 2147483647 and length 1");
  EXPECT_EQ(refusal(StepKey{1, 2, 8, Head::kLast}, {{1, 2}, {0}, {7}, {2}}),
            "row 0: wanted 0 <= length <= 2 and start + length <= 8, got start 7 and length 2");
}

TEST_F(StepperChecks, Tokens) {
  EXPECT_EQ(refusal([](StepInput& i) { i.tokens[1] = 384; }),
            "token 1 of row 0: wanted an id below 384, got 384");
  EXPECT_EQ(refusal([](StepInput& i) { i.tokens[2] = -1; }),
            "token 0 of row 1: wanted an id below 384, got -1");
}

TEST_F(StepperChecks, Sizes) {
  EXPECT_THAT(refusal([](StepInput& i) { i.tokens.pop_back(); }),
              HasSubstr("step [2,2]: wanted 4 tokens and 2 rows, got 3 tokens"));
  EXPECT_NE(refusal([](StepInput& i) { i.slot.push_back(1); }), "");
  EXPECT_NE(refusal([](StepInput& i) { i.start.clear(); }), "");
  EXPECT_NE(refusal([](StepInput& i) { i.length.resize(1); }), "");
  EXPECT_NE(refusal(StepKey{1, 17, 0, Head::kLast}, {std::vector<int32_t>(17, 1), {0}, {0}, {1}}),
            "");
  EXPECT_NE(refusal(StepKey{0, 1, 0, Head::kLast}, {}), "");
}

TEST_F(StepperChecks, AFailedStepTakesTheState) {
  const StepKey key{1, 1, 0, Head::kLast};
  const StepInput input{{1}, {0}, {0}, {1}};
  ASSERT_TRUE(loaded_.stepper.prepare(key).ok());
  let_run();
  ASSERT_TRUE(loaded_.stepper.run(key, input).ok());
  executor_.run_fails = true;
  const auto failed = loaded_.stepper.run(key, input);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().message, "the device is gone");
  EXPECT_TRUE(loaded_.stepper.state_lost());
  executor_.run_fails = false;
  const auto after = loaded_.stepper.run(key, input);
  ASSERT_FALSE(after.ok());
  EXPECT_THAT(after.error().message, HasSubstr("an earlier step failed"));
  EXPECT_EQ(executor_.runs, 2);
  ASSERT_TRUE(loaded_.stepper.reset().ok());
  EXPECT_TRUE(loaded_.stepper.run(key, input).ok());
}

TEST_F(StepperChecks, WhatTheFileLacksIsFoundBeforeCompiling) {
  checkpoint::Checkpoint lying = must(checkpoint::open(kLlama));
  lying.config["vocab_size"] = int64_t{1} << 30;
  Loaded loaded(executor_, std::move(lying), {});
  const Status status = loaded.stepper.prepare(kAllRows);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("wanted shape [1073741824,"));
  EXPECT_EQ(executor_.compiles, 0);
}

TEST_F(StepperChecks, FeedsAndSamplingsAreOneARow) {
  const StepKey argmax{1, 1, 0, Head::kArgmax};
  EXPECT_EQ(refusal(argmax, {{1}, {0}, {0}, {1}, {1, 0}}),
            "step [1,1]: wanted no feeds or, with a head that chooses tokens, 1, got 2");
  EXPECT_EQ(refusal(argmax, {{1}, {0}, {0}, {1}, {}, std::vector<SampleRow>(3)}),
            "step [1,1]: wanted no samplings or, with a head that chooses tokens, 1, got 3");
  EXPECT_NE(refusal({1, 1, 0, Head::kLast}, {{1}, {0}, {0}, {1}, {1}}), "");
}

TEST_F(StepperChecks, AFailedUploadLeavesTheState) {
  const StepKey key{1, 1, 0, Head::kLast};
  ASSERT_TRUE(loaded_.stepper.prepare(key).ok());
  let_run();
  executor_.upload_fails = true;
  EXPECT_FALSE(loaded_.stepper.run(key, {{1}, {0}, {0}, {1}}).ok());
  EXPECT_FALSE(loaded_.stepper.state_lost());
  executor_.upload_fails = false;
  EXPECT_TRUE(loaded_.stepper.run(key, {{1}, {0}, {0}, {1}}).ok());
}

// --- tokens that never visit the host ---

// Greedy tokens of a prompt in `slot` of three, each step's tokens read (`fed` = 0) or fed on the
// device; other slots hold other sequences.
std::vector<int32_t> greedy(Stepper& stepper, int32_t slot, bool fed) {
  const int64_t columns = 4;
  for (int32_t other = 0; other < int32_t(kSlots); ++other) {
    const int32_t shift = other == slot ? 0 : 3 + other;
    const std::vector<int32_t> prompt{5 + shift, 9, 2, 11};
    EXPECT_TRUE(stepper.run({1, columns, 0, Head::kArgmax}, {prompt, {other}, {0}, {3}}).ok());
  }
  StepInput one{std::vector<int32_t>(4, 7), {slot}, {0}, {3}};
  std::copy_n(std::vector<int32_t>{5, 9, 2}.begin(), 3, one.tokens.begin());
  std::vector<StepOutput> outputs;
  outputs.push_back(must(stepper.run({1, columns, 0, Head::kArgmax}, one)));
  std::vector<int32_t> tokens{must(outputs[0].head->download()).as<int32_t>()[0]};
  for (int32_t step = 0; step < 6; ++step) {
    StepInput input{{1, 2, 3}, {0, 1, 2}, {3, 3, 3}, {1, 0, 1}, {0, 0, 0}};
    input.length = {int32_t(slot != 1), 1, int32_t(slot != 1)};  // idle rows, in two of the cases
    input.start[size_t(slot)] = 3 + step;
    input.length[size_t(slot)] = 1;
    if (fed)
      input.feed[size_t(slot)] = 1;
    else
      input.tokens[size_t(slot)] = tokens.back();
    outputs.push_back(must(stepper.run({kSlots, 1, 0, Head::kArgmax}, input)));
    if (!fed) tokens.push_back(must(outputs.back().head->download()).as<int32_t>()[size_t(slot)]);
  }
  for (size_t i = 1; fed && i < outputs.size(); ++i)
    tokens.push_back(must(outputs[i].head->download()).as<int32_t>()[size_t(slot)]);
  return tokens;
}

TEST(StepperFeeds, ATokenFedOnTheDeviceIsTheOneThatWasChosen) {
  const auto executor = must(runtime::open_executor({.plugin = CONTINUO_CPU_PLUGIN}));
  Loaded loaded(*executor);
  for (int32_t slot = 0; slot < int32_t(kSlots); ++slot)
    EXPECT_EQ(greedy(loaded.stepper, slot, true), greedy(loaded.stepper, slot, false)) << slot;
}

// --- probe: the requests it refuses ---

TEST_F(StepperChecks, ProbeRefusesWhatDoesNotFit) {
  const auto message = [&](std::vector<int32_t> ids, const ProbeOptions& options) {
    const auto result = probe(loaded_.stepper, ids, options);
    return result.ok() ? "" : result.error().message;
  };
  EXPECT_EQ(message({}, {.rows = kSlots}), "ids: wanted at least one");
  EXPECT_EQ(message({1}, {.row = 3, .rows = kSlots}), "row: wanted a row below 3, got 3");
  EXPECT_EQ(message({1}, {.row = -1, .rows = kSlots}), "row: wanted a row below 3, got -1");
  EXPECT_NE(message({1}, {.rows = 2}), "");
  EXPECT_EQ(message(std::vector<int32_t>(17, 1), {.rows = kSlots}),
            "17 tokens and 0 more do not fit a context of 16");
  EXPECT_EQ(message(std::vector<int32_t>(10, 1), {.rows = kSlots, .greedy = 8}),
            "10 tokens and 8 more do not fit a context of 16");
}

}  // namespace
}  // namespace continuo::engine
