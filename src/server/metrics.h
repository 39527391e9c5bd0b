// Metrics: Prometheus' text form. Names beginning with "vllm:" are vLLM's and mean the same;
// "continuo:" are what vLLM has no name for.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <string>

#include "engine/engine.h"

namespace continuo::server {

// Any thread.
class Metrics {
 public:
  explicit Metrics(const std::string& model_name);

  void step(const engine::EngineOptions::StepRecord& record);
  void first_token(double seconds);  // from the request's arrival to its first token
  void between_tokens(double seconds);
  // One answer's last event, and the time since its request's arrival.
  void ended(const engine::Event& end, double seconds);
  void abandoned(size_t answers);  // whose end nobody waits for: the client is gone
  void request(int64_t prompt_tokens, const engine::Request& request);
  void http(const std::string& route, int status);  // "other" for unknown paths

  // `stats` nullptr while there is no engine.
  std::string text(const engine::EngineStats* stats, int64_t connections) const;

 private:
  using Histograms = prometheus::Family<prometheus::Histogram>;
  prometheus::Histogram& histogram(const char* name, const char* help,
                                   const prometheus::Histogram::BucketBoundaries& buckets);

  prometheus::Labels labels_;
  prometheus::Registry registry_;
  prometheus::Histogram& first_token_;
  prometheus::Histogram& between_tokens_;
  prometheus::Histogram& end_to_end_;
  prometheus::Histogram& queued_;
  prometheus::Histogram& prefill_;
  prometheus::Histogram& decode_;
  prometheus::Histogram& prompt_tokens_;
  prometheus::Histogram& generated_tokens_;
  prometheus::Histogram& max_tokens_;
  prometheus::Histogram& choices_;
  prometheus::Histogram& step_tokens_;
  Histograms& step_seconds_;
  prometheus::Family<prometheus::Counter>& finished_;
  prometheus::Family<prometheus::Counter>& http_;
};

}  // namespace continuo::server
