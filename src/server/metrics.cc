#include "server/metrics.h"

#include <prometheus/text_serializer.h>

#include <fstream>
#include <vector>

#include <unistd.h>

namespace continuo::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Buckets = prometheus::Histogram::BucketBoundaries;

const Buckets kSeconds = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                          1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
const Buckets kStepSeconds = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                              0.1,    0.2,   0.5,   1,     2,    5};
const Buckets kBetweenTokens = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15,
                                0.2,   0.3,    0.4,   0.5,  0.75,  1,    2.5,   5,   10};
const Buckets kTokens = {1,   2,    5,    10,   20,    50,    100,   200,
                         500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
const Buckets kChoices = {1, 2, 5, 10, 20};

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// Families whose values are read at the moment of a scrape.
class Snapshot {
 public:
  explicit Snapshot(const prometheus::Labels& labels) : labels_(labels) {}

  void gauge(const char* name, const char* help, double value, prometheus::Labels more = {}) {
    add(name, help, MetricType::Gauge, std::move(more)).gauge.value = value;
  }
  void counter(const char* name, const char* help, double value, prometheus::Labels more = {}) {
    add(name, help, MetricType::Counter, std::move(more)).counter.value = value;
  }
  std::vector<MetricFamily> families;

 private:
  ClientMetric& add(const char* name, const char* help, MetricType type, prometheus::Labels more) {
    if (families.empty() || families.back().name != name)
      families.push_back({name, help, type, {}});
    ClientMetric metric;
    more.insert(labels_.begin(), labels_.end());
    for (const auto& [label, value] : more) metric.label.push_back({label, value});
    return families.back().metric.emplace_back(std::move(metric));
  }
  const prometheus::Labels& labels_;
};

void add_engine(Snapshot& out, const engine::EngineStats& stats) {
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  out.gauge("vllm:num_requests_running", "Sequences being computed.", real(stats.running));
  out.gauge("vllm:num_requests_waiting", "Requests in the queue.", real(stats.waiting));
  out.gauge("vllm:kv_cache_usage_perc", "Key-value positions in use, 1 = all.",
            stats.kv_capacity > 0 ? real(stats.kv_positions) / real(stats.kv_capacity) : 0);
  out.counter("vllm:prompt_tokens_total", "Prompt tokens computed.", real(stats.prompt_tokens));
  out.counter("vllm:generation_tokens_total", "Tokens generated.", real(stats.generated_tokens));
  out.gauge("continuo:engine_healthy", "1; 0 while steps fail or hang.",
            stats.health == engine::Health::kOk ? 1 : 0);
  out.gauge("continuo:slots", "Sequences that can be computed at once.", real(stats.slots));
  out.gauge("continuo:context_tokens", "Positions a sequence may have.", real(stats.context));
  out.gauge("continuo:kv_bytes_in_use", "Bytes of key-value positions in use.",
            real(stats.kv_positions) * real(stats.kv_bytes_per_token));
  out.gauge("continuo:recurrent_bytes_in_use", "Bytes of recurrent state in use.",
            real(stats.running) * real(stats.recurrent_bytes_per_slot));
  out.gauge("continuo:state_bytes", "State on the device, in use or not.", real(stats.state_bytes));
  out.gauge("continuo:weight_bytes", "Weights on the device.", real(stats.weight_bytes));
  out.counter("continuo:discarded_tokens_total",
              "Tokens sampled for sequences that had ended: the price of overlap.",
              real(stats.discarded_tokens));
  out.counter("continuo:steps_total", "Steps run.", real(stats.prefill_steps),
              {{"kind", "prefill"}});
  out.counter("continuo:steps_total", "", real(stats.steps - stats.prefill_steps),
              {{"kind", "decode"}});
  out.counter("continuo:failed_steps_total", "Steps that failed.", real(stats.failed_steps));
  out.counter("continuo:executables_total", "Executables compiled, or loaded from the cache.",
              real(stats.compiled), {{"source", "compiled"}});
  out.counter("continuo:executables_total", "", real(stats.loaded), {{"source", "cache"}});
  out.counter("continuo:compile_seconds_total", "Time spent compiling.", stats.compile_seconds);
}

}  // namespace

prometheus::Histogram& Metrics::histogram(const char* name, const char* help,
                                          const Buckets& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add(labels_,
                                                                                    buckets);
}

Metrics::Metrics(const std::string& model_name)
    : labels_{{"model_name", model_name}},
      first_token_(histogram("vllm:time_to_first_token_seconds",
                             "From a request's arrival to its first token.", kSeconds)),
      between_tokens_(histogram("vllm:inter_token_latency_seconds",
                                "Between two tokens of an answer.", kBetweenTokens)),
      end_to_end_(histogram("vllm:e2e_request_latency_seconds",
                            "From a request's arrival to an answer's end.", kSeconds)),
      queued_(histogram("vllm:request_queue_time_seconds", "Time in the queue.", kSeconds)),
      prefill_(histogram("vllm:request_prefill_time_seconds",
                         "From the queue's end to the first token.", kSeconds)),
      decode_(histogram("vllm:request_decode_time_seconds", "From the first token to the last.",
                        kSeconds)),
      prompt_tokens_(histogram("vllm:request_prompt_tokens", "Tokens of a prompt.", kTokens)),
      generated_tokens_(
          histogram("vllm:request_generation_tokens", "Tokens of an answer.", kTokens)),
      max_tokens_(
          histogram("vllm:request_params_max_tokens", "What max_tokens asked for.", kTokens)),
      choices_(histogram("vllm:request_params_n", "What n asked for.", kChoices)),
      step_tokens_(histogram("vllm:iteration_tokens_total", "Tokens fed in a step.", kTokens)),
      step_seconds_(prometheus::BuildHistogram()
                        .Name("continuo:step_seconds")
                        .Help("Time of a step.")
                        .Register(registry_)),
      finished_(prometheus::BuildCounter()
                    .Name("vllm:request_success_total")
                    .Help("Answers that ended, by reason.")
                    .Register(registry_)),
      http_(prometheus::BuildCounter()
                .Name("continuo:http_requests_total")
                .Help("HTTP requests answered.")
                .Register(registry_)) {
  for (const char* reason :
       {"stop", "length", "abort", "error", "deadline", "not_finite"})  // 0 until then
    finished_.Add({{"model_name", model_name}, {"finished_reason", reason}});
}

void Metrics::step(const engine::EngineOptions::StepRecord& record) {
  step_tokens_.Observe(static_cast<double>(record.tokens));
  prometheus::Labels labels = labels_;
  labels["kind"] = record.prefill ? "prefill" : "decode";
  step_seconds_.Add(labels, kStepSeconds).Observe(record.seconds);
}

void Metrics::first_token(double seconds) { first_token_.Observe(seconds); }
void Metrics::between_tokens(double seconds) { between_tokens_.Observe(seconds); }

void Metrics::ended(const engine::Event& end, double seconds) {
  const engine::FinishReason reason = end.finish.value_or(engine::FinishReason::kError);
  prometheus::Labels labels = labels_;
  labels["finished_reason"] =
      reason == engine::FinishReason::kCancelled ? "abort" : engine::to_string(reason);
  finished_.Add(labels).Increment();
  end_to_end_.Observe(seconds);
  queued_.Observe(end.timings.queued_s);
  if (end.completion_tokens == 0) return;
  prefill_.Observe(end.timings.prefill_s);
  decode_.Observe(end.timings.decode_s);
  generated_tokens_.Observe(static_cast<double>(end.completion_tokens));
}

void Metrics::abandoned(size_t answers) {
  prometheus::Labels labels = labels_;
  labels["finished_reason"] = "abort";
  finished_.Add(labels).Increment(static_cast<double>(answers));
}

void Metrics::request(int64_t prompt_tokens, const engine::Request& request) {
  prompt_tokens_.Observe(static_cast<double>(prompt_tokens));
  max_tokens_.Observe(static_cast<double>(request.max_tokens));
  choices_.Observe(static_cast<double>(request.choices));
}

void Metrics::http(const std::string& route, int status) {
  http_.Add({{"path", route}, {"code", std::to_string(status)}}).Increment();
}

std::string Metrics::text(const engine::EngineStats* stats, int64_t connections) const {
  Snapshot now(labels_);
  if (stats != nullptr) add_engine(now, *stats);
  const prometheus::Labels none;
  Snapshot process(none);
  process.gauge("continuo:http_connections", "Connections open.", static_cast<double>(connections));
  process.gauge("process_resident_memory_bytes", "Resident memory.", resident_bytes());
  std::vector<MetricFamily> all = registry_.Collect();
  for (auto* more : {&now.families, &process.families})
    all.insert(all.end(), std::make_move_iterator(more->begin()),
               std::make_move_iterator(more->end()));
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace continuo::server
