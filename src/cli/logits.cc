// continuo logits: the logits of a prompt given as ids, and greedy tokens: how a port is checked.
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "engine/probe.h"

namespace continuo::cli {
namespace {

struct Options {
  ModelOptions model;
  std::vector<int32_t> ids;
  std::string feed = "whole";
  engine::ProbeOptions probe;
  bool json = false;
};

Result<nlohmann::json> run(const Options& options) {
  engine::ProbeOptions how = options.probe;
  CONTINUO_TRY(how.feed, engine::parse_feed(options.feed));
  CONTINUO_TRY(auto loaded, engine::load_model(options.model.load));
  int64_t context = options.model.context;
  if (context == 0) context = int64_t(options.ids.size()) + how.greedy;
  engine::Stepper stepper(*loaded->executor, *loaded->model, loaded->target, *loaded->weights,
                          *loaded->cache, {how.rows, context, 0, true});
  CONTINUO_TRY(engine::ProbeResult result, engine::probe(stepper, options.ids, how));
  const engine::CompileCacheStats executables = loaded->cache->stats();
  return nlohmann::json{
      {"logits", result.logits},
      {"greedy", result.greedy},
      {"executables", {{"compiled", executables.compiled}, {"loaded", executables.loaded}}}};
}

}  // namespace

void add_logits(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("logits", "Logits at a prompt's last position, and greedy tokens");
  add_model_options(*command, options->model);
  command->add_option("--ids", options->ids, "the prompt's token ids, 5,7,9")
      ->delimiter(',')
      ->required();
  command->add_option("--greedy", options->probe.greedy, "tokens to continue with (EOS ignored)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20));
  command->add_option("--feed", options->feed, "whole, token or chunk:K")->capture_default_str();
  command->add_option("--row", options->probe.row, "the sequence's row")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--rows", options->probe.rows, "rows; the others hold other sequences")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}));
  command->add_flag("--json", options->json, "one JSON object (the only form)");
  command->callback([options, &exit_code] {
    auto result = run(*options);
    if (!result.ok()) {
      exit_code = fail(result.error());
      return;
    }
    fmt::print("{}\n", result->dump());
  });
}

}  // namespace continuo::cli
