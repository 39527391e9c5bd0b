// continuo verify: golden cases, every config, every feed, several rows.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command.h"
#include "engine/probe.h"

namespace continuo::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kTolerance = 1e-3;     // max |dlogit|, absolute, of a golden in float32
constexpr double kMostDistance = 0.25;  // of a golden in bfloat16: more would show nothing
constexpr int64_t kRows = 3;
constexpr int64_t kChunk = 256;  // of an engine's prefill, where a prompt is longer

struct Options {
  ModelOptions model;
  std::vector<std::string> cases;
  bool json = false, layers = false, quick = false;
};

// One line of the table: a case read through one config.
struct Outcome {
  std::string name, config;
  int64_t prompts = 0, runs = 0;
  double error = 0, seconds = 0, tolerance = kTolerance;
  bool greedy = true;
  std::string problem;  // an error's message, or the first mismatch
  bool passed() const { return problem.empty() && greedy && error <= tolerance && runs > 0; }
};

struct Golden {
  struct Prompt {
    std::vector<int32_t> ids, greedy;
    std::vector<float> logits;
  };
  std::vector<Prompt> prompts;
  std::string dtype = "f32";  // what the reference computed in
  double tolerance = kTolerance;
};

Result<json> read_json(const fs::path& path) {
  std::ifstream file(path);
  if (!file) return error(ErrorCode::kNotFound, "cannot read {}", path.string());
  std::stringstream text;
  text << file.rdbuf();
  return checkpoint::parse_json(text.str(), path.string());
}

// A list, or of a large vocabulary those that are not zero: {"size": V, "at": ids, "values": ...}.
std::vector<float> read_logits(const json& from) {
  if (from.is_array()) return from.get<std::vector<float>>();
  std::vector<float> logits(from.at("size").get<size_t>());
  const auto at = from.at("at").get<std::vector<size_t>>();
  for (size_t i = 0; i < at.size(); ++i) logits.at(at[i]) = from.at("values").at(i).get<float>();
  return logits;
}

// What a golden must have, so that it cannot pass by saying nothing.
std::string missing_in(const Golden& golden) {
  if (golden.prompts.empty()) return "prompts: expected at least one, got none";
  for (size_t i = 0; i < golden.prompts.size(); ++i) {
    const Golden::Prompt& prompt = golden.prompts[i];
    for (const auto& [field, count] : {std::pair{"ids", prompt.ids.size()},
                                       {"greedy", prompt.greedy.size()},
                                       {"last_logits", prompt.logits.size()}})
      if (count == 0)
        return fmt::format("prompts[{}].{}: expected at least one, got none", i, field);
    const auto best = std::max_element(prompt.logits.begin(), prompt.logits.end());
    if (!std::all_of(prompt.logits.begin(), prompt.logits.end(),
                     [](float logit) { return std::isfinite(logit); }))
      return fmt::format("prompts[{}].last_logits: expected finite numbers", i);
    if (best - prompt.logits.begin() != prompt.greedy.front())
      return fmt::format("prompts[{}].greedy: expected the best of last_logits, {}, first, got {}",
                         i, best - prompt.logits.begin(), prompt.greedy.front());
  }
  return "";
}

// "compute": "bfloat16" and "f32_distance", how far the reference's own bfloat16 lies from its
// float32. Another order of rounding may be as far on the other side: twice that.
Status read_compute(const json& root, const fs::path& path, Golden& golden) {
  const std::string compute = root.value("compute", "float32");
  if (compute == "float32") return ok_status();
  const double distance = root.value("f32_distance", 0.0);
  if (compute != "bfloat16" || !(distance > 0) || distance > kMostDistance)
    return error(ErrorCode::kCorrupt,
                 "{}: expected compute float32, or bfloat16 with an f32_distance above 0 and up to "
                 "{}, got {} with {}",
                 path.string(), kMostDistance, compute, distance);
  golden.dtype = "bf16";
  golden.tolerance = 2 * distance;
  return ok_status();
}

Result<Golden> read_golden(const fs::path& path) {
  CONTINUO_TRY(const json root, read_json(path));
  Golden golden;
  try {
    for (const json& prompt : root.at("prompts"))
      golden.prompts.push_back({prompt.at("ids").get<std::vector<int32_t>>(),
                                prompt.at("greedy").get<std::vector<int32_t>>(),
                                read_logits(prompt.at("last_logits"))});
    CONTINUO_RETURN_IF_ERROR(read_compute(root, path, golden));
  } catch (const std::exception& failure) {  // json's, or an id beyond the size
    return error(ErrorCode::kCorrupt, "{}: {}", path.string(), failure.what());
  }
  if (const std::string missing = missing_in(golden); !missing.empty())
    return error(ErrorCode::kCorrupt, "{}: {}", path.string(), missing);
  return golden;
}

struct Variant {
  std::string name, config, model, config_file;
};

// A case directory holds golden.json and config.json, perhaps config.hub.json; the same model may
// lie beside it as gguf/NAME.gguf.
std::vector<Variant> variants_of(const fs::path& directory) {
  const std::string name = directory.filename().string();
  std::vector<Variant> variants{{name, "config.json", directory.string(), ""}};
  if (fs::exists(directory / "config.hub.json"))
    variants.push_back(
        {name, "config.hub.json", directory.string(), (directory / "config.hub.json").string()});
  const fs::path gguf = directory.parent_path() / "gguf" / (name + ".gguf");
  if (fs::exists(gguf)) variants.push_back({name, "gguf", gguf.string(), ""});
  return variants;
}

void compare(const engine::ProbeResult& got, const Golden::Prompt& wanted, const std::string& how,
             Outcome& outcome) {
  double worst = got.logits.size() == wanted.logits.size() ? 0 : INFINITY;
  for (size_t i = 0; i < wanted.logits.size() && worst != INFINITY; ++i) {
    const double difference = std::abs(double(got.logits[i]) - double(wanted.logits[i]));
    worst = difference <= worst ? worst : (std::isnan(difference) ? INFINITY : difference);
  }
  outcome.error = std::max(outcome.error, worst);
  const bool greedy = got.greedy == wanted.greedy;
  outcome.greedy = outcome.greedy && greedy;
  ++outcome.runs;
  if (outcome.problem.empty() && (!greedy || worst > outcome.tolerance))
    outcome.problem = fmt::format("prompt of {}, {}: max|dlogit| {:.3g}, greedy {}",
                                  wanted.ids.size(), how, worst, greedy ? "equal" : "differs");
}

// Where a device attends over buckets of positions: two, so that longer prompts cross from one to
// the other while they are fed, and shorter ones while they are continued.
std::vector<int64_t> small_buckets(const engine::Stepper& stepper) {
  const int64_t context = stepper.options().context;
  if (stepper.target().attends_in_place() || context < 32) return {};
  return {context / 2, context};
}

// Chunks and tokens over such buckets: as prompts are served.
Status probe_buckets(engine::Stepper& stepper, const Golden::Prompt& prompt, Outcome& outcome) {
  engine::ProbeOptions options{.feed = {16},
                               .row = 1,
                               .rows = kRows,
                               .indirect = true,
                               .greedy = int64_t(prompt.greedy.size())};
  options.attended = small_buckets(stepper);
  if (options.attended.empty()) return ok_status();
  CONTINUO_TRY(const auto result, engine::probe(stepper, prompt.ids, options));
  compare(result, prompt, "buckets, slot 1", outcome);
  return ok_status();
}

// A way to feed a prompt: chunks of `columns` (0: whole) by a graph of `width` (0: as wide as
// they).
struct Way {
  int64_t columns, width, row;
  bool indirect;
};

// Each graph costs seconds to compile, so that three serve all ways: one of many rows and columns,
// and an engine's two, one row of a chunk and one column of all rows. Wider chunks where a prompt
// is long. The model in another file or config has the same graphs: one way of it shows that they
// are given the same. `quick` leaves out the graph of many rows and columns.
std::vector<Way> ways_of(int64_t longest, int64_t context, bool repeated, bool quick) {
  if (longest > kChunk) {
    if (repeated) return {{kChunk, 0, 1, true}};
    return {{kChunk, 0, 1, true}, {100, kChunk, 2, true}, {1, 0, 0, false}};
  }
  if (repeated) return {{16, 0, 1, true}, {1, 0, kRows - 1, false}};
  std::vector<Way> ways{{1, 0, 0, false},
                        {1, 0, kRows - 1, false},
                        {5, 16, 0, true},
                        {5, 16, kRows - 1, true},
                        {16, 0, 1, true}};
  const int64_t whole = engine::column_bucket(longest, context);
  if (!quick)
    ways.insert(ways.end(),
                {{0, whole, 0, false}, {0, whole, kRows - 1, false}, {23, whole, 1, false}});
  return ways;
}

// All feeds and rows of one prompt; probes that cannot run are the outcome's problem.
Status probe_prompt(engine::Stepper& stepper, const Golden::Prompt& prompt,
                    const std::vector<Way>& ways, Outcome& outcome) {
  for (const Way& way : ways) {
    const engine::ProbeOptions options{.feed = {way.columns},
                                       .row = way.row,
                                       .rows = kRows,
                                       .indirect = way.indirect,
                                       .width = way.width,
                                       .greedy = int64_t(prompt.greedy.size())};
    CONTINUO_TRY(const auto result, engine::probe(stepper, prompt.ids, options));
    compare(
        result, prompt,
        fmt::format("{}, {} {}", options.feed.name(), options.indirect ? "slot" : "row", way.row),
        outcome);
  }
  return probe_buckets(stepper, prompt, outcome);
}

Status verify_variant(const Options& options, const Variant& variant, const Golden& golden,
                      bool repeated, Outcome& outcome) {
  engine::LoadOptions load = options.model.load;
  load.model = variant.model;
  load.config_file = variant.config_file;
  if (load.dtype == "auto") load.dtype = golden.dtype;
  CONTINUO_TRY(auto loaded, engine::load_model(load));
  int64_t longest = 1;
  for (const auto& prompt : golden.prompts)
    longest = std::max(longest, int64_t(prompt.ids.size() + prompt.greedy.size()));
  const int64_t context = (longest + 15) / 16 * 16;
  const auto switches = loaded->model->facts().rope_switches_at;
  // LongRoPE's tables depend on the longest sequence served, so short and long prompts part here.
  for (const bool is_long : {false, true}) {
    std::vector<const Golden::Prompt*> prompts;
    for (const auto& prompt : golden.prompts) {
      const int64_t end = int64_t(prompt.ids.size() + prompt.greedy.size());
      if ((switches && end > *switches) == is_long) prompts.push_back(&prompt);
    }
    if (prompts.empty()) continue;
    const int64_t limit = switches && !is_long ? *switches : context;
    engine::Stepper stepper(*loaded->executor, *loaded->model, loaded->target, *loaded->weights,
                            *loaded->cache, {kRows, context, limit, false});
    int64_t longest_prompt = 0;
    for (const Golden::Prompt* prompt : prompts)
      longest_prompt = std::max(longest_prompt, int64_t(prompt->ids.size()));
    for (const Golden::Prompt* prompt : prompts) {
      CONTINUO_RETURN_IF_ERROR(probe_prompt(
          stepper, *prompt, ways_of(longest_prompt, limit, repeated, options.quick), outcome));
      ++outcome.prompts;
    }
  }
  return ok_status();
}

// Where a port goes wrong first: the largest difference of the hidden state after each layer.
Status print_layers(const Options& options, const Variant& variant, const Golden& golden) {
  CONTINUO_TRY(const json root, read_json(fs::path(variant.model) / "layers.json"));
  engine::LoadOptions load = options.model.load;
  load.model = variant.model;
  load.dtype = "f32";
  CONTINUO_TRY(auto loaded, engine::load_model(load));
  const auto& ids = golden.prompts.at(root.value("prompt", size_t{1})).ids;
  const auto switches = loaded->model->facts().rope_switches_at;
  const int64_t limit = switches ? std::min<int64_t>(*switches, 64) : 0;  // the prompt is short
  engine::Stepper stepper(*loaded->executor, *loaded->model, loaded->target, *loaded->weights,
                          *loaded->cache, {1, 64, limit, false});
  CONTINUO_TRY(const auto layers, engine::probe_layers(stepper, ids));
  for (size_t i = 0; i < layers.size(); ++i) {
    double worst = 0;
    for (size_t j = 0; j < layers[i].size(); ++j)
      worst = std::max(worst,
                       std::abs(layers[i][j] - root.at("hidden_states").at(i).at(j).get<double>()));
    fmt::print(stderr, "{:<24} {:<16} max|dhidden| {:.3g}\n", variant.name,
               i == 0 ? "embedding" : fmt::format("layer {}", i - 1), worst);
  }
  return ok_status();
}

std::vector<Outcome> verify_case(const Options& options, const std::string& directory) {
  std::vector<Outcome> outcomes;
  fs::path path = fs::path(directory).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  auto golden = read_golden(path / "golden.json");
  if (!golden.ok()) {
    Outcome outcome{path.filename().string(), ""};
    outcome.problem = golden.error().message;
    return {outcome};
  }
  for (const Variant& variant : variants_of(path)) {
    Outcome outcome{variant.name, variant.config};
    outcome.tolerance = golden->tolerance;
    const auto start = std::chrono::steady_clock::now();
    if (options.layers && variant.config == "config.json")
      if (Status status = print_layers(options, variant, *golden); !status.ok())
        fmt::print(stderr, "{}: {}\n", variant.name, status.error().message);
    if (Status status = verify_variant(options, variant, *golden, !outcomes.empty(), outcome);
        !status.ok())
      outcome.problem = status.error().message;
    outcome.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

void print_header() {
  fmt::print("{:<22} {:<16} {:>7} {:>5} {:>10} {:<7} {:>6}  {}\n", "case", "config", "prompts",
             "runs", "max error", "greedy", "time", "result");
}

void print_line(const Outcome& outcome) {
  fmt::print("{:<22} {:<16} {:>7} {:>5} {:>10.2e} {:<7} {:>5.1f}s  {}\n", outcome.name,
             outcome.config, outcome.prompts, outcome.runs, outcome.error,
             outcome.greedy ? "equal" : "DIFFERS", outcome.seconds,
             outcome.passed() ? "pass" : "FAIL " + outcome.problem);
  std::fflush(stdout);
}

json to_json(const Outcome& outcome) {
  return {{"case", outcome.name},       {"config", outcome.config},
          {"prompts", outcome.prompts}, {"runs", outcome.runs},
          {"max_error", outcome.error}, {"greedy_equal", outcome.greedy},
          {"seconds", outcome.seconds}, {"passed", outcome.passed()},
          {"problem", outcome.problem}, {"tolerance", outcome.tolerance}};
}

int run(const Options& options) {
  json lines = json::array();
  bool passed = true;
  if (!options.json) print_header();
  for (const std::string& directory : options.cases) {
    for (const Outcome& outcome : verify_case(options, directory)) {
      passed = passed && outcome.passed();
      if (options.json)
        lines.push_back(to_json(outcome));
      else
        print_line(outcome);
    }
  }
  if (options.json) fmt::print("{}\n", lines.dump());
  return passed ? kSuccess : kMismatch;
}

}  // namespace

void add_verify(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "verify", "Compare golden cases with the reference: every config, feed and row");
  add_model_options(*command, options->model, false);
  command
      ->add_option("case", options->cases, "case directories (golden.json, config.json, weights)")
      ->required();
  command
      ->add_option("--attention", options->model.load.attention,
                   "auto, bucket (plain, over a bucket of positions) or loop (over blocks of them)")
      ->check(CLI::IsMember({"auto", "bucket", "loop"}))
      ->capture_default_str();
  command->add_flag("--quick", options->quick,
                    "feed prompts only as an engine does: two graphs instead of three");
  command->add_flag("--json", options->json, "a JSON list instead of the table");
  command->add_flag("--layers", options->layers,
                    "also print, to stderr, each layer's difference from layers.json");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace continuo::cli
