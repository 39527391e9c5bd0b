// Random requests for tests of ragged batching, and a client that sends them to an engine alone or
// together.
#pragma once

#include <fmt/format.h>

#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace continuo {

struct Answers {
  std::map<int64_t, std::vector<int32_t>> tokens;  // by choice
  std::map<int64_t, std::vector<std::vector<std::pair<int32_t, float>>>> logprobs;
  std::map<int64_t, engine::FinishReason> ends;
  std::string error;
};

// Submits requests and waits for their answers.
class Client {
 public:
  explicit Client(engine::Engine& engine) : engine_(engine) {}

  // `cancel_after`: tokens of choice 0 until it is cancelled; -1 = never.
  void submit(size_t index, engine::Request request, int64_t cancel_after) {
    request.on_event = [this, index, cancel_after](const engine::Event& event) {
      if (event.token && event.index + 1 == cancel_after) engine_.cancel(event.request);
      const std::lock_guard lock(mutex_);
      Answers& own = answers_[index];
      if (event.token) own.tokens[event.choice].push_back(*event.token);
      if (event.logprobs) own.logprobs[event.choice].push_back(event.logprobs->top);
      if (!event.finish) return;
      own.ends[event.choice] = *event.finish;
      if (!event.error.empty()) own.error = event.error;
      --open_;
      ended_.notify_all();
    };
    {
      const std::lock_guard lock(mutex_);
      open_ += request.choices;
    }
    const auto id = engine_.submit(std::move(request));
    if (id.ok()) return;
    fmt::print(stderr, "request {}: {}\n", index, id.error().message);
    std::exit(2);
  }
  std::map<size_t, Answers> wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return open_ == 0; });
    return std::exchange(answers_, {});
  }

 private:
  engine::Engine& engine_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::map<size_t, Answers> answers_;
  int64_t open_ = 0;
};

struct Case {
  engine::Request request;
  int64_t cancel_after = -1;
  int pause_us = 0;
};

inline std::vector<Case> random_cases(std::mt19937& random, int64_t vocab, int count) {
  std::vector<Case> cases(static_cast<size_t>(count));
  for (size_t i = 0; i < cases.size(); ++i) {
    engine::Request& request = cases[i].request;
    request.ids.resize(1 + random() % 50);
    for (int32_t& id : request.ids) id = int32_t(random() % uint64_t(vocab));
    request.max_tokens = 1 + random() % 20;
    request.ignore_eos = random() % 2 == 0;
    engine::SamplingParams& sampling = request.sampling;
    sampling.seed = random();
    if (i % 2 == 1) {
      sampling.temperature = 0.5 + double(random() % 10) / 10;
      if (random() % 2 == 0) sampling.top_k = 1 + int64_t(random() % 20);
      if (random() % 2 == 0) sampling.top_p = 0.7;
      if (random() % 3 == 0) sampling.min_p = 0.05;
    }
    const auto token = [&] { return int32_t(random() % uint64_t(vocab)); };
    if (i % 8 == 3) sampling.repetition_penalty = 1.2;
    if (i % 8 == 4) sampling.frequency_penalty = sampling.presence_penalty = 0.7;
    if (i % 8 == 5) sampling.logit_bias = {{token(), 4.0F}, {token(), -4.0F}};
    if (i % 8 == 6) sampling.bad_words = {{token()}, {token()}};
    if (i % 8 == 6) sampling.min_tokens = request.max_tokens / 2;
    if (i % 8 == 7) sampling.dry_multiplier = 0.8;                      // on the host
    if (i % 13 == 2) sampling.bad_words.push_back({token(), token()});  // likewise
    if (i % 9 == 4) request.choices = 2;
    if (i % 5 == 0) request.top_logprobs = int64_t(i % 4);
    if (random() % 5 == 0) cases[i].cancel_after = 1 + random() % 6;
    cases[i].pause_us = int(random() % 3000);
  }
  return cases;
}

// All requests alone, one after the other.
inline std::map<size_t, Answers> run_alone(Client& client, const std::vector<Case>& cases) {
  std::map<size_t, Answers> alone;
  for (size_t i = 0; i < cases.size(); ++i) {
    client.submit(i, cases[i].request, -1);
    alone.merge(client.wait());
  }
  return alone;
}

// All of them, as they arrive.
inline std::map<size_t, Answers> send_together(Client& client, const std::vector<Case>& cases) {
  for (size_t i = 0; i < cases.size(); ++i) {
    client.submit(i, cases[i].request, cases[i].cancel_after);
    std::this_thread::sleep_for(std::chrono::microseconds(cases[i].pause_us));
  }
  return client.wait();
}

}  // namespace continuo
