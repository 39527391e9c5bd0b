// continuo bits: what changes the bits of a sequence's logits, and what does not.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "measure/bit_survey.h"

namespace continuo::cli {
namespace {

using nlohmann::json;

struct Options {
  ModelOptions model;
  std::vector<std::string> models;
  measure::BitSurveyOptions survey;
  bool as_json = false, where = false;
};

std::string name_of(const std::string& path) {
  std::filesystem::path folder = std::filesystem::path(path).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  return folder.filename().string();
}

// "=": every bit is the same. Else the largest difference, and the greedy tokens that flip.
std::string cell(const measure::BitSurveyLine& line) {
  if (line.equal == line.runs) return "=";
  return fmt::format("{:.0e} {}/{}", line.worst, line.flips, line.choices);
}

void print_header() {
  for (const measure::BitSurveyAxis& axis : measure::bit_survey_axes())
    fmt::print("{:<10} {}\n", axis.name, axis.changes);
  fmt::print(
      "= is bit for bit; else the largest difference of two logits, and how many greedy\n"
      "tokens flip, of how many\n\n{:<24}",
      "model");
  for (const measure::BitSurveyAxis& axis : measure::bit_survey_axes())
    fmt::print(" {:<12}", axis.name);
  fmt::print("\n");
}

void print_lines(const Options& options, const std::string& name,
                 const std::vector<measure::BitSurveyLine>& lines) {
  fmt::print("{:<24}", name);
  for (const measure::BitSurveyLine& line : lines) fmt::print(" {:<12}", cell(line));
  fmt::print("\n");
  for (const measure::BitSurveyLine& line : lines)
    if (options.where && !line.where.empty())
      fmt::print("    {}: {}\n", line.axis, fmt::join(line.where, ", "));
  std::fflush(stdout);
}

json to_json(const std::string& name, const std::vector<measure::BitSurveyLine>& lines) {
  json axes = json::object();
  for (const measure::BitSurveyLine& line : lines)
    axes[line.axis] = {{"runs", line.runs},   {"equal", line.equal}, {"choices", line.choices},
                       {"flips", line.flips}, {"worst", line.worst}, {"where", line.where}};
  return {{"model", name}, {"axes", axes}};
}

// What docs/determinism.md promises: bits do not follow what shares a step.
bool promised(const std::vector<measure::BitSurveyLine>& lines) {
  return std::all_of(lines.begin(), lines.end(), [](const measure::BitSurveyLine& line) {
    const bool shared = line.axis == "again" || line.axis == "neighbours" || line.axis == "slot";
    return !shared || (line.equal == line.runs && line.runs > 0);
  });
}

int run(const Options& options) {
  int exit_code = kSuccess;
  if (!options.as_json) print_header();
  for (const std::string& path : options.models) {
    engine::LoadOptions load = options.model.load;
    load.model = path;
    auto lines = [&]() -> Result<std::vector<measure::BitSurveyLine>> {
      CONTINUO_TRY(const auto model, engine::load_model(load));
      return measure::survey_bits(*model, options.survey);
    }();
    if (!lines.ok())
      exit_code = fail(with_context(lines.error(), path));
    else if (options.as_json)
      fmt::print("{}\n", to_json(name_of(path), *lines).dump());
    else
      print_lines(options, name_of(path), *lines);
    if (lines.ok() && exit_code == kSuccess && !promised(*lines)) exit_code = kMismatch;
    std::fflush(stdout);
  }
  return exit_code;
}

}  // namespace

void add_bits(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("bits", "Measure what changes the bits of a sequence's logits");
  add_model_options(*command, options->model, false);
  command->add_option("models", options->models, "model folders or GGUF files")->required();
  command->add_option("--slots", options->survey.slots, "to compare with 4")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  command->add_option("--prompts", options->survey.prompts, "tokens of each sequence's prompt")
      ->delimiter(',')
      ->check(CLI::Range(1, 120));
  command->add_option("--tokens", options->survey.tokens, "of each answer")
      ->check(CLI::Range(1, 32))
      ->capture_default_str();
  command->add_flag("--where", options->where, "also print at which values bits differ");
  command->add_flag("--json", options->as_json, "one JSON object a model");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace continuo::cli
