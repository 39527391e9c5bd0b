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
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.tensor->name < b.tensor->name; });
}

Result<std::unique_ptr<SafetensorsSet>> open_single(const std::string& path) {
  auto set = std::make_unique<SafetensorsSet>();
  CONTINUO_TRY(SafetensorsFile file, open_safetensors(path));
  set->files.push_back(std::move(file));
  const SafetensorsFile& only = set->files.front();
  for (const SafetensorsTensor& tensor : only.header.tensors)
    set->tensors.push_back({&only, &tensor});
  sort_by_name(set->tensors);
  return set;
}

// A shard is a file beside its index: a name with any path in it could point anywhere.
bool plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

using ShardMap = std::map<std::string, std::vector<std::string>>;  // shard -> its tensors

Result<ShardMap> read_index(const std::string& path) {
  CONTINUO_TRY(const std::string text, read_text_file(path));
  CONTINUO_TRY(const json index, parse_json(text, path));
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object() || map->empty())
    return error(ErrorCode::kCorrupt, "{}: wanted an object \"weight_map\" of tensors to shards",
                 path);
  ShardMap shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || !plain_file_name(shard.get_ref<const std::string&>()))
      return error(ErrorCode::kCorrupt,
                   "{}: tensor \"{}\": wanted the name of a file in this folder, got {}", path,
                   tensor, shard.dump(-1, ' ', true).substr(0, 200));
    shards[shard.get<std::string>()].push_back(tensor);
  }
  return shards;
}

Result<std::unique_ptr<SafetensorsSet>> open_sharded(const fs::path& folder) {
  const std::string index = (folder / kIndex).string();
  CONTINUO_TRY(ShardMap shards, read_index(index));
  auto set = std::make_unique<SafetensorsSet>();
  set->files.reserve(shards.size());  // entries point into it
  for (auto& [shard, names] : shards) {
    const std::string path = (folder / shard).string();
    if (!on_disk(path))
      return error(ErrorCode::kNotFound, "{}: shard {} is missing; {} tensors should be in it",
                   index, path, names.size());
    CONTINUO_TRY(SafetensorsFile opened, open_safetensors(path));
    set->files.push_back(std::move(opened));
    const SafetensorsFile& file = set->files.back();

    std::map<std::string_view, const SafetensorsTensor*> held;
    for (const SafetensorsTensor& tensor : file.header.tensors) held[tensor.name] = &tensor;
    for (const std::string& name : names) {
      const auto place = held.find(name);
      if (place == held.end())
        return error(ErrorCode::kCorrupt, "{}: wanted tensor \"{}\", as {} says; it is not there",
                     path, name, kIndex);
      set->tensors.push_back({&file, place->second});
    }
  }
  sort_by_name(set->tensors);
  return set;
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
    return open_single((base / "model.safetensors").string());
  if (on_disk(base / kIndex)) return open_sharded(base);

  const std::vector<std::string> found = files_ending(base, ".safetensors");
  if (found.size() == 1) return open_single(found.front());
  if (found.size() > 1)
    return error(ErrorCode::kNotFound, "{}: {} *.safetensors files but no {} to tell their use",
                 folder, found.size(), kIndex);
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
