// continuo bench --host: what a step costs the host, besides the device's own part.
#include "cli/bench_host.h"

#include <fmt/format.h>

#include <chrono>

#include "engine/text_model.h"
#include "measure/host_bench.h"
#include "server/answer.h"

namespace continuo::cli {
namespace {

struct Kind {
  const char* name;
  engine::Request request;
};

std::vector<Kind> kinds(bool text) {
  std::vector<Kind> all(4);
  all[0].name = "greedy";
  all[1].name = "penalised";
  all[1].request.sampling = {.temperature = 0.7, .top_p = 0.8, .repetition_penalty = 1.05};
  all[2].name = "logprobs";
  all[2].request.top_logprobs = 5;
  all[3].name = "stops";
  if (text) all[3].request.stops = {"\n\nUser:", "</s> never", std::string(1024, '-'), "## never"};
  if (!text) all.pop_back();
  return all;
}

// Microseconds of one streamed event as JSON, which the server's io thread makes.
double event_microseconds(const server::ServedModel& model) {
  server::GenerationRequest request;
  request.chat = request.stream = true;
  request.prompts = {{1}};
  server::Answer answer(request, model, "bench", 1700000000);
  engine::Event event{.request = 1, .token = 5, .text = " wor\"d"};
  constexpr int kEvents = 20000;
  size_t bytes = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kEvents; ++i) {
    answer.add(0, event);
    bytes += answer.chunk(0, event).size();
  }
  const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
  return bytes > 0 ? spent.count() / kEvents : 0;
}

}  // namespace

Status bench_host(const engine::LoadedModel& model, const std::vector<int64_t>& streams,
                  int64_t prompt, int64_t tokens) {
  const int64_t vocab = model.model->facts().vocab;
  const auto text = engine::text_model(model.checkpoint);
  const text::Tokenizer* tokenizer = text.ok() ? &text->tokenizer : nullptr;
  for (const int64_t count : streams) {
    for (const Kind& kind : kinds(tokenizer != nullptr)) {
      CONTINUO_TRY(const measure::HostBenchResult result,
                   measure::bench_host(tokenizer, vocab, {count, prompt, tokens, kind.request}));
      fmt::print("streams {:>3} {:<10} {:>8.1f} us/step {:>7.2f} us/token\n", count, kind.name,
                 result.us_per_step, result.us_per_token);
      std::fflush(stdout);
    }
  }
  server::ServedModel served;
  served.names = {"bench"};
  served.vocab = vocab;
  fmt::print("an event as JSON, on the server's io thread: {:.2f} us\n",
             event_microseconds(served));
  return ok_status();
}

}  // namespace continuo::cli
