// continuo emit: a model's step graph as StableHLO text. Reads no weights.
#include <fstream>
#include <map>

#include "cli/command.h"

namespace continuo::cli {
namespace {

struct Options {
  ModelOptions model;
  models::StepShape shape;
  std::string head = "last", output, platform = "cpu";
};

Result<std::string> run(const Options& options) {
  static const std::map<std::string, models::Head> kHeads{{"last", models::Head::kLast},
                                                          {"all", models::Head::kAll},
                                                          {"argmax", models::Head::kArgmax},
                                                          {"sample", models::Head::kSample},
                                                          {"layers", models::Head::kLayers}};
  CONTINUO_TRY(auto checkpoint,
               checkpoint::open(options.model.load.model, {options.model.load.config_file, true}));
  CONTINUO_TRY(auto model, engine::make_model(checkpoint));
  CONTINUO_TRY(auto executor, runtime::open_executor(options.model.load.executor));
  CONTINUO_TRY(auto target, engine::target_for(executor->target(), options.model.load.dtype));
  models::StepShape shape = options.shape;
  shape.head = kHeads.at(options.head);
  if (shape.slots == 0) shape.slots = shape.rows;
  shape.context =
      options.model.context > 0 ? options.model.context : std::max<int64_t>(shape.columns, 512);
  CONTINUO_TRY(auto step, models::write_step(*model, shape, target));
  return step.text;
}

int write(const std::string& text, const std::string& path) {
  if (path.empty() || path == "-") {
    fmt::print("{}", text);
    return kSuccess;
  }
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) return fail(error(ErrorCode::kUnavailable, "cannot write {}", path));
  return kSuccess;
}

}  // namespace

void add_emit(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  options->shape.slots = 0;
  CLI::App* command = app.add_subcommand("emit", "A model's step graph as StableHLO text");
  add_model_options(*command, options->model);
  command->add_option("--rows", options->shape.rows, "rows R")->check(CLI::Range(1, 4096));
  command->add_option("--columns", options->shape.columns, "columns T")
      ->check(CLI::Range(1, 65536));
  command->add_option("--slots", options->shape.slots, "slots B (default: R)")
      ->check(CLI::Range(1, 4096));
  command->add_option("--head", options->head, "last, all, argmax, sample or layers")
      ->check(CLI::IsMember({"last", "all", "argmax", "sample", "layers"}))
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "file (default: stdout)");
  command->callback([options, &exit_code] {
    auto text = run(*options);
    exit_code = text.ok() ? write(*text, options->output) : fail(text.error());
  });
}

}  // namespace continuo::cli
