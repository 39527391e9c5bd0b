#include <algorithm>
#include <chrono>

#include "bench/bench.h"

namespace continuo::bench {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<double> time_each(int count, const std::function<Status()>& call, Status& status) {
  std::vector<double> seconds;
  for (int i = 0; i < count && status.ok(); ++i) {
    const auto start = std::chrono::steady_clock::now();
    status = call();
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return seconds;
}

Status run_step(engine::Stepper& stepper, const engine::StepKey& key, int64_t start,
                int64_t length) {
  const size_t rows = size_t(key.rows);
  engine::StepInput input{std::vector<int32_t>(rows * size_t(key.columns)),
                          std::vector<int32_t>(rows), std::vector<int32_t>(rows, int32_t(start)),
                          std::vector<int32_t>(rows, int32_t(length))};
  for (size_t i = 0; i < input.tokens.size(); ++i)
    input.tokens[i] = int32_t((7919 * i + 13) % size_t(stepper.model().facts().vocab));
  for (size_t r = 0; r < rows; ++r) input.slot[r] = int32_t(r);
  CONTINUO_TRY(const engine::StepOutput output, stepper.run(key, input));
  CONTINUO_TRY(const HostTensor head, output.head->download());
  return ok_status();
}

}  // namespace continuo::bench

int main(int argc, char** argv) {
  CLI::App app{"Continuo's benchmarks: ratios against a floor measured in the same run.",
               "continuo_bench"};
  app.require_subcommand(1);
  int exit_code = 0;
  continuo::bench::add_decode(app, exit_code);
  continuo::bench::add_recurrent(app, exit_code);
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
