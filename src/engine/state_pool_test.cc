// Random programs of feed, snapshot, restore, fork and clear against replaying every sequence from
// scratch: the same chunks in the same row give the same bits. A sequence that moved between rows
// is replayed in its last one, where a product's last bits may differ (XLA tiles rows): within
// 1e-4.
#include "engine/state_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include <algorithm>
#include <random>

#include "engine/loaded_model.h"
#include "engine/stepper.h"

namespace continuo::engine {
namespace {

constexpr int64_t kSlots = 4, kContext = 96, kColumns = 5;

struct Chunk {
  int64_t slot = 0;  // where it was fed
  std::vector<int32_t> tokens;
};
using Chunks = std::vector<Chunk>;

int64_t tokens_in(const Chunks& chunks) {
  int64_t count = 0;
  for (const Chunk& chunk : chunks) count += int64_t(chunk.tokens.size());
  return count;
}

bool stayed_in(int64_t slot, const Chunks& chunks) {
  return std::all_of(chunks.begin(), chunks.end(),
                     [&](const Chunk& chunk) { return chunk.slot == slot; });
}

// Feeds one chunk to one slot, the other rows idle; that row's logits.
std::vector<float> feed(Stepper& stepper, int64_t slot, int64_t start,
                        const std::vector<int32_t>& chunk) {
  StepInput input{std::vector<int32_t>(kSlots * kColumns, 0), std::vector<int32_t>(kSlots),
                  std::vector<int32_t>(kSlots, 0), std::vector<int32_t>(kSlots, 0)};
  for (int64_t r = 0; r < kSlots; ++r) input.slot[size_t(r)] = int32_t(r);
  std::copy(chunk.begin(), chunk.end(), input.tokens.begin() + slot * kColumns);
  input.start[size_t(slot)] = int32_t(start);
  input.length[size_t(slot)] = int32_t(chunk.size());
  auto output = stepper.run({kSlots, kColumns, 0, models::Head::kLast}, input);
  EXPECT_TRUE(output.ok()) << output.error().message;
  const HostTensor logits = *output->head->download();
  const size_t vocab = size_t(stepper.model().facts().vocab);
  const auto row = logits.as<float>().subspan(size_t(slot) * vocab, vocab);
  return {row.begin(), row.end()};
}

std::vector<float> replay(Stepper& stepper, int64_t slot, const Chunks& chunks) {
  std::vector<float> logits;
  int64_t start = 0;
  for (const Chunk& chunk : chunks) {
    logits = feed(stepper, slot, start, chunk.tokens);
    start += int64_t(chunk.tokens.size());
  }
  return logits;
}

class StatePoolOf : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    LoadOptions options;
    options.model = std::string(CONTINUO_TEST_DATA) + "/goldens/" + GetParam();
    auto opened = load_model(options);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    loaded_ = std::move(opened).value();
  }
  Stepper stepper() {
    return Stepper(*loaded_->executor, *loaded_->model, loaded_->target, *loaded_->weights,
                   *loaded_->cache, {kSlots, kContext, 0, false});
  }
  std::unique_ptr<LoadedModel> loaded_;
};

TEST_P(StatePoolOf, RandomProgramsEqualReplays) {
  Stepper running = stepper(), fresh = stepper();
  const uint32_t seed = 20240613;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto below = [&](int64_t limit) { return int64_t(random() % uint64_t(limit)); };
  const int64_t vocab = loaded_->model->facts().vocab;
  // Where attention reads what it masks, nothing but finite values is ever stored.
  const float poison =
      loaded_->target.has_attention_kernel() ? std::numeric_limits<float>::quiet_NaN() : 3e38f;
  Chunks history[kSlots];
  struct Saved {
    Snapshot snapshot;
    Chunks history;
  };
  std::vector<Saved> saved;
  ASSERT_TRUE(running.prepare({kSlots, kColumns, 0, models::Head::kLast}).ok());
  for (int step = 0; step < 150; ++step) {
    const int64_t slot = below(kSlots), other = below(kSlots);
    switch (below(8)) {
      case 0: {
        auto taken =
            running.state().snapshot(slot, tokens_in(history[slot]),
                                     below(2) == 0 ? SnapshotPlace::kDevice : SnapshotPlace::kHost);
        ASSERT_TRUE(taken.ok()) << taken.error().message;
        saved.push_back({std::move(taken).value(), history[slot]});
        break;
      }
      case 1:
        if (saved.empty()) break;
        {
          const Saved& chosen = saved[size_t(below(int64_t(saved.size())))];
          ASSERT_TRUE(running.state().restore(slot, chosen.snapshot).ok());
          history[slot] = chosen.history;
        }
        break;
      case 2:
        ASSERT_TRUE(running.state().fork(slot, other, tokens_in(history[slot])).ok());
        history[other] = history[slot];
        break;
      case 3:  // a freed slot full of poison must never show in what comes after
        ASSERT_TRUE(running.state().clear(slot, poison).ok());
        history[slot].clear();
        break;
      default: {
        std::vector<int32_t> chunk(size_t(1 + below(kColumns)));
        for (int32_t& token : chunk) token = int32_t(below(vocab));
        const int64_t start = tokens_in(history[slot]);
        if (start + int64_t(chunk.size()) > kContext) break;
        history[slot].push_back({slot, chunk});
        const auto logits = feed(running, slot, start, chunk);
        if (below(3) != 0) break;
        const auto wanted = replay(fresh, slot, history[slot]);
        if (stayed_in(slot, history[slot]))
          ASSERT_EQ(logits, wanted) << "step " << step;
        else
          ASSERT_THAT(logits, testing::Pointwise(testing::FloatNear(1e-4f), wanted))
              << "step " << step;
      }
    }
  }
}

TEST_P(StatePoolOf, RefusesWhatDoesNotFit) {
  Stepper running = stepper();
  EXPECT_FALSE(running.state().clear(0).ok());  // nothing is allocated yet
  ASSERT_TRUE(running.prepare({kSlots, kColumns, 0, models::Head::kLast}).ok());
  EXPECT_FALSE(running.state().snapshot(kSlots, 0, SnapshotPlace::kHost).ok());
  EXPECT_FALSE(running.state().snapshot(0, kContext + 1, SnapshotPlace::kHost).ok());
  EXPECT_FALSE(running.state().fork(0, -1, 1).ok());
  auto taken = running.state().snapshot(0, 3, SnapshotPlace::kHost);
  ASSERT_TRUE(taken.ok());
  taken->host.pop_back();
  const Status refused = running.state().restore(1, *taken);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, testing::HasSubstr("another model"));
}

INSTANTIATE_TEST_SUITE_P(Families, StatePoolOf,
                         testing::Values("llama", "deepseek_v3", "mamba", "mamba2", "falcon_h1",
                                         "qwen3_next", "kimi_linear", "rwkv7", "recurrent_gemma",
                                         "minimax", "lfm2"),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace continuo::engine
