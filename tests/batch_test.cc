// Ragged batching against each request alone: on a golden model, 40 requests of random lengths,
// arrivals, cancels and ways to choose, over engines of several slot counts, must give exactly the
// tokens that each gives when nothing else runs in that engine. Another number of slots is another
// program, which may round otherwise: a greedy answer may then part from the first engine's only
// where the logits of the two tokens are near each other.
//   batch_test GOLDEN_FOLDER [SLOTS,SLOTS... [EXECUTOR [DTYPE]]]
// A seed decides all of it but the threads' timing; CONTINUO_SEED=n sets another.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <sstream>

#include "engine/engine.h"
#include "engine/loaded_model.h"
#include "ragged_requests.h"

namespace continuo {
namespace {

constexpr int64_t kContext = 80;
constexpr int kRequests = 40;
constexpr double kNear = 2e-3;  // between two logits: each is within 1e-3 of the reference

std::unique_ptr<engine::Engine> open_engine(engine::LoadedModel& model, int64_t slots) {
  engine::EngineOptions options;
  options.slots = slots;
  options.context = kContext;
  options.columns = {16};
  options.attended = {kContext};
  options.overlap = slots > 3;  // and so against the serial loop, too
  options.greedy_graphs = slots % 2 == 1;
  auto engine = engine::Engine::create(model, nullptr, options);
  if (engine.ok()) return std::move(engine).value();
  fmt::print(stderr, "{}\n", engine.error().message);
  std::exit(2);
}

// The logits of another number of slots may differ in their last bits.
bool close(const std::vector<std::pair<int32_t, float>>& got,
           const std::vector<std::pair<int32_t, float>>& wanted) {
  return std::equal(got.begin(), got.end(), wanted.begin(), wanted.end(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first && std::abs(x.second - y.second) < 1e-4F;
                    });
}

// Whether `got` is what the request gave alone, or the beginning of it where it was cancelled.
bool equal(const Case& each, const Answers& got, const Answers& alone) {
  if (!got.error.empty()) return false;
  for (const auto& [choice, end] : got.ends) {
    const auto place = got.tokens.find(choice);
    const std::vector<int32_t> tokens =
        place == got.tokens.end() ? std::vector<int32_t>{} : place->second;
    const std::vector<int32_t>& wanted = alone.tokens.at(choice);
    const bool cancelled = each.cancel_after >= 0 && end == engine::FinishReason::kCancelled;
    if (cancelled ? tokens.size() > wanted.size() : tokens.size() != wanted.size()) return false;
    if (!std::equal(tokens.begin(), tokens.end(), wanted.begin())) return false;
    const auto top = got.logprobs.find(choice);
    if (each.request.top_logprobs < 0 || tokens.empty()) continue;
    if (top == got.logprobs.end() || top->second.size() != tokens.size()) return false;
    if (!std::equal(top->second.begin(), top->second.end(), alone.logprobs.at(choice).begin(),
                    close))
      return false;
  }
  return int64_t(got.ends.size()) == each.request.choices;
}

// Whether a greedy answer parts from another engine's at two tokens whose logits are near.
bool parts_at_a_near_tie(Client& client, const Case& each, const Answers& here,
                         const Answers& there) {
  const std::vector<int32_t>&own = here.tokens.at(0), &other = there.tokens.at(0);
  const size_t common =
      size_t(std::mismatch(own.begin(), own.end(), other.begin(), other.end()).first - own.begin());
  if (common == own.size() || common == other.size()) return false;
  engine::Request request = each.request;
  request.ids.insert(request.ids.end(), own.begin(), own.begin() + long(common));
  request.max_tokens = 1;
  request.choices = 1;
  request.top_logprobs = 5;
  client.submit(0, request, -1);
  const auto top = client.wait().at(0).logprobs.at(0).back();
  const auto place = std::find_if(top.begin(), top.end(),
                                  [&](const auto& entry) { return entry.first == other[common]; });
  return place != top.end() && double(top.front().second) - double(place->second) <= kNear;
}

struct Counts {
  int wrong = 0, tokens = 0, elsewhere = 0;
};

void run_together(Client& client, const std::vector<Case>& cases,
                  const std::map<size_t, Answers>& alone, Counts& counts) {
  for (const auto& [i, got] : send_together(client, cases)) {
    for (const auto& [choice, each] : got.tokens) counts.tokens += int(each.size());
    if (equal(cases[i], got, alone.at(i))) continue;
    ++counts.wrong;
    for (const auto& [choice, each] : got.tokens)
      fmt::print(stderr, "request {}/{} T={}:\n  got   {}\n  alone {} {}\n", i, choice,
                 cases[i].request.sampling.temperature, fmt::join(each, " "),
                 fmt::join(alone.at(i).tokens.at(choice), " "), got.error);
  }
}

// The slot counts of the engines: "3,6".
std::vector<int64_t> parse_slots(const std::string& text) {
  std::vector<int64_t> slots;
  std::istringstream list(text);
  for (std::string each; std::getline(list, each, ',');) slots.push_back(std::atoll(each.c_str()));
  return slots;
}

int run(const std::string& folder, const std::vector<int64_t>& engines, const std::string& executor,
        const std::string& dtype) {
  const char* given = std::getenv("CONTINUO_SEED");
  const uint32_t seed = given != nullptr ? uint32_t(std::atoi(given)) : 20261125;
  std::mt19937 random(seed);
  engine::LoadOptions load{.model = folder, .dtype = dtype};
  load.executor.executor = executor;
  auto model = engine::load_model(load);
  if (!model.ok()) {
    fmt::print(stderr, "{}\n", model.error().message);
    return 2;
  }
  const std::vector<Case> cases = random_cases(random, (*model)->model->facts().vocab, kRequests);
  std::map<size_t, Answers> first;
  Counts counts;
  for (const int64_t slots : engines) {
    const auto engine = open_engine(**model, slots);
    Client client(*engine);
    const std::map<size_t, Answers> alone = run_alone(client, cases);
    run_together(client, cases, alone, counts);
    if (first.empty()) first = alone;
    for (size_t i = 0; i < cases.size(); ++i) {
      if (equal(cases[i], alone.at(i), first.at(i))) continue;
      ++counts.elsewhere;
      if (cases[i].request.sampling.temperature == 0 && dtype == "f32" &&
          !parts_at_a_near_tie(client, cases[i], alone.at(i), first.at(i))) {
        ++counts.wrong;
        fmt::print(stderr, "request {} of {} slots: not at a near-tie\n", i, slots);
      }
    }
  }
  fmt::print(
      "{}: {} requests, seed {}, {} tokens, {} wrong, {} otherwise in another number of slots\n",
      folder, int(engines.size()) * kRequests, seed, counts.tokens, counts.wrong, counts.elsewhere);
  return counts.wrong == 0 && counts.tokens > 0 ? 0 : 1;
}

}  // namespace
}  // namespace continuo

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: batch_test GOLDEN_FOLDER [SLOTS,SLOTS... [EXECUTOR [DTYPE]]]\n");
    return 2;
  }
  return continuo::run(argv[1], continuo::parse_slots(argc > 2 ? argv[2] : "3,6"),
                       argc > 3 ? argv[3] : "pjrt", argc > 4 ? argv[4] : "f32");
}
