// For tests: ops::sample compiled for one shape on a plugin, run on rows of logits.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/choose.h"
#include "ops/sample.h"
#include "runtime/test_runner.h"

namespace continuo::engine {

using Logits = std::vector<std::vector<float>>;  // [R][V]

class DeviceChoice {
 public:
  DeviceChoice(runtime::Executor& executor, int64_t rows, int64_t vocab, bool truncate,
               ops::Search search = ops::Search::kLoop)
      : executor_(executor), rows_(rows), vocab_(vocab) {
    graph::Graph g("sample");
    const graph::Value logits = g.argument("logits", DType::kF32, {rows, vocab});
    ops::SampleInputs in;
    in.temperature = g.argument("temperature", DType::kF32, {rows});
    in.key = g.argument("key", DType::kI32, {rows, 2});
    in.top_k = g.argument("top_k", DType::kI32, {rows});
    in.top_p = g.argument("top_p", DType::kF32, {rows});
    in.min_p = g.argument("min_p", DType::kF32, {rows});
    g.output(ops::sample(logits, in, truncate, search));
    program_ = take(executor.compile(g.text()));
  }

  std::vector<int32_t> run(const Logits& logits, const std::vector<SampleRow>& rows) {
    HostTensor all(DType::kF32, {rows_, vocab_}), key(DType::kI32, {rows_, 2});
    HostTensor temperature(DType::kF32, {rows_}), top_p(DType::kF32, {rows_});
    HostTensor min_p(DType::kF32, {rows_}), top_k(DType::kI32, {rows_});
    for (size_t r = 0; r < rows.size(); ++r) {
      std::copy(logits.at(r).begin(), logits.at(r).end(),
                all.as<float>().begin() + long(r) * vocab_);
      temperature.as<float>()[r] = rows[r].temperature;
      top_p.as<float>()[r] = rows[r].top_p;
      min_p.as<float>()[r] = rows[r].min_p;
      top_k.as<int32_t>()[r] = rows[r].top_k;
      key.as<uint32_t>()[2 * r] = rows[r].key[0];
      key.as<uint32_t>()[2 * r + 1] = rows[r].key[1];
    }
    std::vector<runtime::BufferPtr> buffers;
    std::vector<runtime::Buffer*> arguments;
    for (const HostTensor* each : {&all, &temperature, &key, &top_k, &top_p, &min_p}) {
      buffers.push_back(take(executor_.upload(each->view(), runtime::HostLifetime::kDuringCall)));
      arguments.push_back(buffers.back().get());
    }
    const auto outputs = take(program_->run(arguments));
    const HostTensor tokens = take(outputs[0]->download());
    return {tokens.as<int32_t>().begin(), tokens.as<int32_t>().end()};
  }

 private:
  template <typename T>
  static T take(Result<T> result) {
    if (!result.ok()) throw std::runtime_error(result.error().message);
    return std::move(result).value();
  }
  runtime::Executor& executor_;
  int64_t rows_, vocab_;
  runtime::ProgramPtr program_;
};

}  // namespace continuo::engine
