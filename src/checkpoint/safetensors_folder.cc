// Which files of a folder hold its tensors.
#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "checkpoint/json.h"
#include "checkpoint/safetensors.h"

namespace continuo::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kIndex = "model.safetensors.index.json";

bool on_disk(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

void sort_by_name(std::vector<SafetensorsSet::Entry>& entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.tensor->name < b.tensor->name; });
}

// A shard is a file beside its index: a name with any path in it could point anywhere.
bool plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

using WeightMap = std::map<std::string, std::string>;  // tensor -> the shard that should hold it

Result<WeightMap> read_index(const std::string& path) {
  CONTINUO_TRY(const std::string text, read_text_file(path));
  CONTINUO_TRY(const json index, parse_json(text, path));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object() || map->empty())
    return error(ErrorCode::kCorrupt, "{}: wanted an object \"weight_map\" of tensors to shards",
                 path);
  WeightMap shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || !plain_file_name(shard.get_ref<const std::string&>()))
      return error(ErrorCode::kCorrupt,
                   "{}: tensor \"{}\": wanted the name of a file in this folder, got {}", path,
                   tensor, shard.dump(-1, ' ', true).substr(0, 200));
    shards[tensor] = shard.get<std::string>();
  }
  return shards;
}

// Keeps one of each name in `set`, sorted. Where files share one, the index tells which counts.
Status settle_duplicates(SafetensorsSet& set, const WeightMap& index) {
  const auto rightful = [&](const SafetensorsSet::Entry& entry) {
    const auto place = index.find(entry.tensor->name);
    return place != index.end() &&
           fs::path(entry.file->file.path()).filename().string() == place->second;
  };
  std::stable_partition(set.tensors.begin(), set.tensors.end(), rightful);
  sort_by_name(set.tensors);
  std::vector<SafetensorsSet::Entry> kept;
  for (const SafetensorsSet::Entry& entry : set.tensors) {
    if (kept.empty() || kept.back().tensor->name != entry.tensor->name)
      kept.push_back(entry);
    else if (!rightful(kept.back()))
      return error(ErrorCode::kCorrupt,
                   "tensor \"{}\" is in {} and in {}, and no index tells which one counts",
                   entry.tensor->name, kept.back().file->file.path(), entry.file->file.path());
  }
  set.tensors = std::move(kept);
  return {};
}

// All tensors of `paths`. The files' own headers say what is in them.
Result<std::unique_ptr<SafetensorsSet>> open_files(const std::vector<std::string>& paths,
                                                   const WeightMap& index) {
  auto set = std::make_unique<SafetensorsSet>();
  set->files.reserve(paths.size());  // entries point into it
  for (const std::string& path : paths) {
    CONTINUO_TRY(SafetensorsFile opened, open_safetensors(path));
    set->files.push_back(std::move(opened));
    const SafetensorsFile& file = set->files.back();
    for (const SafetensorsTensor& tensor : file.header.tensors)
      set->tensors.push_back({&file, &tensor});
  }
  CONTINUO_RETURN_IF_ERROR(settle_duplicates(*set, index));
  return set;
}

// An index names the shards. A tensor that it names and no shard holds is missed only by a model
// that wants it.
Result<std::unique_ptr<SafetensorsSet>> open_sharded(const fs::path& folder) {
  const std::string index = (folder / kIndex).string();
  CONTINUO_TRY(const WeightMap weights, read_index(index));
  std::map<std::string, size_t> shards;  // how many tensors each should hold
  for (const auto& [tensor, shard] : weights) ++shards[shard];
  std::vector<std::string> paths;
  for (const auto& [shard, count] : shards) {
    paths.push_back((folder / shard).string());
    if (!on_disk(paths.back()))
      return error(ErrorCode::kNotFound, "{}: shard {} is missing; {} tensors should be in it",
                   index, paths.back(), count);
  }
  return open_files(paths, weights);
}

std::vector<std::string> files_ending(const fs::path& folder, std::string_view ending) {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == ending) found.push_back(entry.path().string());
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

Result<std::unique_ptr<SafetensorsSet>> open_safetensors_folder(const std::string& folder) {
  const fs::path base(folder);
  if (on_disk(base / "model.safetensors"))
    return open_files({(base / "model.safetensors").string()}, {});
  if (on_disk(base / kIndex)) return open_sharded(base);

  const std::vector<std::string> found = files_ending(base, ".safetensors");
  if (!found.empty()) return open_files(found, {});
  if (on_disk(base / "pytorch_model.bin") || on_disk(base / "pytorch_model.bin.index.json"))
    return error(ErrorCode::kUnsupported,
                 "{}: has only pytorch_model.bin, which can run code when loaded; convert it to "
                 "model.safetensors (transformers: save_pretrained)",
                 folder);
  if (const auto gguf = files_ending(base, ".gguf"); !gguf.empty())
    return error(ErrorCode::kNotFound, "{}: no model.safetensors here; to open {} give its path",
                 folder, gguf.front());
  return error(ErrorCode::kNotFound, "{}: wanted model.safetensors or {}, found neither", folder,
               kIndex);
}

}  // namespace continuo::checkpoint
