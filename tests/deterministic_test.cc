// The promise of `--deterministic` (docs/determinism.md): a request's tokens and log probabilities
// are the same bits alone and among 40 random ones that arrive, are cancelled and choose their
// tokens in every way, whatever the prefill budget is and whether steps overlap.
//   deterministic_test GOLDEN_FOLDER [ATTENTION [EXECUTOR]]
//   deterministic_test --control GOLDEN_FOLDER ...   without the option: passes where bits differ
// A seed decides all of it but the threads' timing; CONTINUO_SEED=n sets another.
#include <algorithm>
#include <cstring>
#include <memory>

#include "engine/loaded_model.h"
#include "ragged_requests.h"

namespace continuo {
namespace {

constexpr int kRequests = 40;
constexpr int64_t kContext = 256, kSlots = 5;

struct Options {
  std::string folder, attention = "auto", executor = "pjrt";
  bool control = false;
};

std::unique_ptr<engine::Engine> open_engine(engine::LoadedModel& model, bool deterministic,
                                            int64_t budget) {
  engine::EngineOptions options;
  options.slots = kSlots;
  options.context = kContext;
  options.columns = {16};
  options.attended = {64, kContext};
  options.prefill_budget = budget;
  options.overlap = budget > 16;
  options.deterministic = deterministic;
  options.greedy_graphs = deterministic;  // which it does without
  auto engine = engine::Engine::create(model, nullptr, options);
  if (engine.ok()) return std::move(engine).value();
  fmt::print(stderr, "{}\n", engine.error().message);
  std::exit(2);
}

bool same_bits(float x, float y) { return std::memcmp(&x, &y, sizeof x) == 0; }

// Whether `got` is `wanted`, or the beginning of it where it was cancelled.
bool equal(const Case& each, const Answers& got, const Answers& wanted) {
  if (!got.error.empty() || int64_t(got.ends.size()) != each.request.choices) return false;
  for (const auto& [choice, tokens] : got.tokens) {
    const std::vector<int32_t>& all = wanted.tokens.at(choice);
    const bool cancelled = got.ends.at(choice) == engine::FinishReason::kCancelled;
    if (cancelled ? tokens.size() > all.size() : tokens.size() != all.size()) return false;
    if (!std::equal(tokens.begin(), tokens.end(), all.begin())) return false;
    if (each.request.top_logprobs < 0) continue;
    const auto &own = got.logprobs.at(choice), &other = wanted.logprobs.at(choice);
    if (own.size() != tokens.size()) return false;
    for (size_t i = 0; i < own.size(); ++i)
      if (!std::equal(own[i].begin(), own[i].end(), other[i].begin(), other[i].end(),
                      [](const auto& x, const auto& y) {
                        return x.first == y.first && same_bits(x.second, y.second);
                      }))
        return false;
  }
  return true;
}

int run(const Options& options) {
  engine::LoadOptions load{.model = options.folder, .dtype = "f32"};
  load.attention = options.attention;
  load.executor.executor = options.executor;
  auto model = engine::load_model(load);
  if (!model.ok()) {
    fmt::print(stderr, "{}\n", model.error().message);
    return 2;
  }
  const char* given = std::getenv("CONTINUO_SEED");
  std::mt19937 random(given != nullptr ? uint32_t(std::atoi(given)) : 20261127);
  std::vector<Case> cases = random_cases(random, (*model)->model->facts().vocab, kRequests);
  // The bits show in log probabilities; some requests do without, and take the head's own choice.
  for (size_t i = 0; i < cases.size(); ++i)
    if (i % 3 != 0) cases[i].request.top_logprobs = int64_t(i % 6);
  // Long neighbours for short answers: they decide what the steps attend over.
  for (size_t i = 0; i < cases.size(); i += 5) {
    std::vector<int32_t>& ids = cases[i].request.ids;
    const std::vector<int32_t> once = ids;
    while (ids.size() < 170) ids.insert(ids.end(), once.begin(), once.end());
  }
  std::map<size_t, Answers> alone;
  {
    const auto engine = open_engine(**model, !options.control, 16);
    Client client(*engine);
    alone = run_alone(client, cases);
  }
  const auto engine = open_engine(**model, !options.control, 37);
  Client client(*engine);
  int different = 0, tokens = 0;
  for (const auto& [i, got] : send_together(client, cases)) {
    for (const auto& [choice, each] : got.tokens) tokens += int(each.size());
    if (equal(cases[i], got, alone.at(i))) continue;
    ++different;
    if (!options.control) fmt::print(stderr, "request {}: other bits {}\n", i, got.error);
  }
  fmt::print("{} {}: {} requests, {} tokens, {} answers with other bits than alone{}\n",
             options.folder, options.attention, kRequests, tokens, different,
             options.control ? ", without the option" : "");
  return tokens > 0 && (different > 0) == options.control ? 0 : 1;
}

}  // namespace
}  // namespace continuo

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  continuo::Options options;
  options.control = std::erase(words, "--control") > 0;
  if (words.empty()) {
    fmt::print(stderr, "usage: deterministic_test [--control] GOLDEN [ATTENTION [EXECUTOR]]\n");
    return 2;
  }
  options.folder = words[0];
  if (words.size() > 1) options.attention = words[1];
  if (words.size() > 2) options.executor = words[2];
  return continuo::run(options);
}
