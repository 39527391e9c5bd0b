// continuo families: what this build can load, as the table of docs/families.md.
#include <algorithm>

#include "checkpoint/gguf_config.h"
#include "checkpoint/mlx_source.h"
#include "cli/command.h"
#include "models/registry.h"

namespace continuo::cli {
namespace {

std::string joined(const std::vector<std::string>& names, const char* quote) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + (quote + name + quote);
  return text;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// "MLX (kimi_k2, deepseek_v3)", or without the list where mlx-lm has all of the family's types.
std::string mlx(const models::Family& family) {
  std::string some;
  bool all = true;
  for (const std::string& type : family.model_types) {
    if (checkpoint::find_mlx_family(type) != nullptr)
      some += (some.empty() ? "" : ", ") + type;
    else
      all = false;
  }
  if (some.empty()) return "";
  return all ? ", MLX" : ", MLX (" + some + ")";
}

// "safetensors, MLX, GGUF (llama)": an architecture no fixture covers is marked.
std::string formats(const models::Family& family) {
  std::string gguf;
  for (const auto& row : checkpoint::gguf_architectures()) {
    if (!contains(family.model_types, std::string(row.model_type))) continue;
    gguf += (gguf.empty() ? "" : ", ") + std::string(row.name) + (row.tested ? "" : ", untested");
  }
  return "safetensors" + mlx(family) + (gguf.empty() ? "" : ", GGUF (" + gguf + ")");
}

}  // namespace

void add_families(CLI::App& app, int&) {
  CLI::App* command = app.add_subcommand("families", "The families this build loads, as Markdown");
  command->callback([] {
    fmt::print(
        "# Families\n\nWritten by `continuo families`; a test keeps it current.\n\n"
        "| family | model_type | mixers | state | checkpoint formats | golden | notes |\n"
        "|---|---|---|---|---|---|---|\n");
    for (const models::Family* family : models::families())
      fmt::print("| {} | {} | {} | {} | {} | {} | {} |\n", family->name,
                 joined(family->model_types, "`"), family->mixers, family->state, formats(*family),
                 joined(family->goldens, "`"), family->notes);
  });
}

}  // namespace continuo::cli
