// What `deterministic` promises of plans: which program computes a token, and in which column, is a
// function of its request alone.
#include <map>
#include <random>
#include <tuple>

#include "engine/engine_impl.h"
#include "engine/scheduler.h"
#include "engine/scheduler_fixture_test.h"

namespace continuo::engine {
namespace {

using models::Head;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// How the tokens of a sequence were computed: program, position of the first column, columns.
using Ways = std::map<SequenceId, std::vector<std::tuple<StepKey, int32_t, int32_t>>>;

SchedulerOptions options(bool deterministic) {
  SchedulerOptions all{.slots = 3,
                       .context = 60,
                       .max_queue = 50,
                       .prefill_budget = 11,
                       .columns = {2, 7},
                       .attended = {16, 28, 60}};
  return deterministic ? deterministic_options(all) : all;
}

std::vector<SchedulerRequest> random_requests() {
  std::mt19937 random(20261127);
  const auto below = [&](uint32_t bound) { return int64_t(random() % bound); };
  std::vector<SchedulerRequest> requests;
  for (uint64_t id = 1; id <= 40; ++id)
    requests.push_back({.id = id,
                        .prompt = 1 + below(30),
                        .max_tokens = 1 + below(9),
                        .choices = 1 + below(2),
                        .head = below(2) == 0 ? Head::kSample : Head::kArgmax,
                        .chooser = below(4) == 0,
                        .host_tokens = below(5) == 0 ? 9 : 0});
  return requests;
}

void step(Scheduler& scheduler, Ways& ways) {
  const auto plan = scheduler.plan({});
  ASSERT_TRUE(plan.has_value());
  for (const StepRow& row : plan->rows)
    if (row.length > 0) ways[row.sequence].push_back({plan->key, row.start, row.length});
  ASSERT_TRUE(scheduler.commit(plan->number).ok());
}

Ways alone(const SchedulerOptions& options) {
  Ways ways;
  for (const SchedulerRequest& request : random_requests()) {
    Scheduler scheduler(options);
    EXPECT_TRUE(scheduler.submit(request).ok());
    while (!scheduler.idle()) step(scheduler, ways);
  }
  return ways;
}

// All at once or one after the other, and every seventh is cancelled while others run.
Ways together(const SchedulerOptions& options, int steps_between) {
  Ways ways;
  Scheduler scheduler(options);
  for (const SchedulerRequest& request : random_requests()) {
    EXPECT_TRUE(scheduler.submit(request).ok());
    for (int i = 0; i < steps_between && !scheduler.idle(); ++i) step(scheduler, ways);
    if (request.id % 7 == 0) scheduler.cancel(request.id - 1);
  }
  while (!scheduler.idle()) step(scheduler, ways);
  return ways;
}

// Sequences some of whose tokens were not computed as they are alone.
int different(const Ways& got, const Ways& wanted) {
  int count = 0;
  for (const auto& [id, ways] : got)
    count += !std::equal(
                 ways.begin(), ways.end(), wanted.at(id).begin(),
                 wanted.at(id).begin() + std::min(long(ways.size()), long(wanted.at(id).size()))) ||
             ways.size() > wanted.at(id).size();
  return count;
}

TEST(DeterministicScheduler, TokensAreComputedAsTheyAreAlone) {
  for (const int steps_between : {0, 1, 3}) {
    EXPECT_EQ(different(together(options(true), steps_between), alone(options(true))), 0);
    // Else lengths and heads of the neighbours choose the program.
    EXPECT_GT(different(together(options(false), steps_between), alone(options(false))), 9);
  }
}

TEST(DeterministicScheduler, ThereAreTwoPrograms) {
  SchedulerOptions given = default_scheduler_options(3, 4096, {.columns = 1024});
  EXPECT_EQ(Scheduler(deterministic_options(given)).keys().size(), 2u);
  EXPECT_THAT(Scheduler(deterministic_options(given)).keys(),
              UnorderedElementsAre(StepKey{3, 1, 4096, Head::kSample},
                                   StepKey{1, 1024, 4096, Head::kSample}));
  given.sample = false;
  EXPECT_THAT(Scheduler(deterministic_options(given)).keys(),
              UnorderedElementsAre(StepKey{3, 1, 4096, Head::kArgmax},
                                   StepKey{1, 1024, 4096, Head::kArgmax}));
  const auto refused = [](SchedulerOptions wrong) {
    wrong.deterministic = true;
    const Status status = check(wrong);
    return status.ok() ? "accepted" : status.error().message;
  };
  EXPECT_EQ(refused(deterministic_options(given)), "accepted");
  EXPECT_THAT(refused(given), HasSubstr("deterministic: expected one width, one bucket"));
  SchedulerOptions heads = deterministic_options(given);
  heads.argmax = heads.sample = true;
  EXPECT_THAT(refused(heads), HasSubstr("got 1, 1 and 2"));
}

TEST(DeterministicScheduler, ABudgetDoesNotChangeTheWidth) {
  const auto scheduling = [](int64_t budget, int64_t columns) {
    const EngineOptions options{.context = 4096,
                                .prefill_budget = budget,
                                .prefill_columns = columns,
                                .deterministic = true};
    return scheduling_of(options, {.columns = 512});
  };
  EXPECT_THAT(scheduling(0, 0)->columns, ElementsAre(128));
  EXPECT_THAT(scheduling(1000, 0)->columns, ElementsAre(128));
  EXPECT_EQ(scheduling(1000, 0)->prefill_budget, 1000);
  EXPECT_THAT(scheduling(0, 48)->columns, ElementsAre(48));
  const auto small = scheduling(100, 0);
  ASSERT_FALSE(small.ok());
  EXPECT_THAT(small.error().message, HasSubstr("prefill_budget: expected at least 128"));
}

}  // namespace
}  // namespace continuo::engine
