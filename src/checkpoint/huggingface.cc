#include "checkpoint/huggingface.h"

#include <algorithm>
#include <filesystem>

#include "base/mapped_file.h"
#include "checkpoint/mlx_source.h"
#include "checkpoint/quantization_config.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_source.h"

namespace continuo::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A file's text; "" where there is no such file.
Result<std::string> optional_text(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::string();
  return read_text_file(path.string());
}

// A file's object; null where there is no such file.
Result<json> optional_object(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return json();
  CONTINUO_TRY(const std::string text, read_text_file(path.string()));
  CONTINUO_TRY(json value, parse_json(text, path.string()));
  if (!value.is_object())
    return error(ErrorCode::kCorrupt, "{}: wanted a JSON object, got {}", path.string(),
                 value.type_name());
  return value;
}

Result<json> read_config(const fs::path& folder, const std::string& config_file) {
  const fs::path path = config_file.empty() ? folder / "config.json" : fs::path(config_file);
  CONTINUO_TRY(json config, optional_object(path));
  if (!config.is_null()) return config;
  return error(ErrorCode::kNotFound, "{}: no such file; {}", path.string(),
               config_file.empty() ? "a model folder needs one (or give --config FILE)"
                                   : "it was given as --config");
}

// A template is a string, or a list of named ones of which "default" is meant for chats.
std::string template_text(const json& holder) {
  if (!holder.is_object()) return "";
  const auto value = holder.find("chat_template");
  if (value == holder.end()) return "";
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) return "";
  for (const json& entry : *value) {
    if (!entry.is_object()) continue;
    const auto name = entry.find("name"), text = entry.find("template");
    if (name != entry.end() && *name == "default" && text != entry.end() && text->is_string())
      return text->get<std::string>();
  }
  return "";
}

// Where transformers looks, in its order of precedence.
Result<std::string> read_chat_template(const fs::path& folder, const json& tokenizer_config) {
  CONTINUO_TRY(std::string text, optional_text(folder / "chat_template.jinja"));
  if (!text.empty()) return text;
  CONTINUO_TRY(const json holder, optional_object(folder / "chat_template.json"));
  text = template_text(holder);
  return text.empty() ? template_text(tokenizer_config) : text;
}

// Files that hold a vocabulary where no tokenizer.json does, in order of precedence: transformers
// prefers Mistral's own file to the others.
constexpr std::string_view kTokenizerFiles[] = {"tekken.json",    "tokenizer.model",
                                                "spiece.model",   "sentencepiece.bpe.model",
                                                "tiktoken.model", "tokenizer.jsonl"};

// GPT-2's, which are read together.
constexpr const char *kVocab = "vocab.json", *kMerges = "merges.txt";

// RWKV's and Qwen's carry a version or the model's name.
bool names_tokenizer(const std::string& name) {
  return name.ends_with(".tiktoken") || (name.starts_with("rwkv_vocab") && name.ends_with(".txt"));
}

std::string find_tokenizer_file(const fs::path& folder) {
  std::error_code ignored;
  for (const std::string_view name : kTokenizerFiles)
    if (fs::is_regular_file(folder / name, ignored)) return std::string(name);
  std::string found;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (names_tokenizer(name) && (found.empty() || name < found)) found = name;
  }
  const bool has_pair = fs::is_regular_file(folder / kVocab, ignored) &&
                        fs::is_regular_file(folder / kMerges, ignored);
  if (found.empty() && has_pair) found = kVocab;
  return found;
}

Status read_tokenizer(const fs::path& base, Checkpoint& out) {
  CONTINUO_TRY(out.tokenizer_config, optional_object(base / "tokenizer_config.json"));
  CONTINUO_TRY(out.special_tokens_map, optional_object(base / "special_tokens_map.json"));
  CONTINUO_TRY(out.tokenizer_json, optional_text(base / "tokenizer.json"));
  if (!out.tokenizer_json.empty()) return ok_status();
  out.tokenizer_file_name = find_tokenizer_file(base);
  if (out.tokenizer_file_name.empty()) return ok_status();
  CONTINUO_TRY(out.tokenizer_file, read_text_file((base / out.tokenizer_file_name).string()));
  CONTINUO_TRY(out.added_tokens, optional_object(base / "added_tokens.json"));
  if (out.tokenizer_file_name == kVocab) {
    CONTINUO_TRY(out.tokenizer_merges, read_text_file((base / kMerges).string()));
  }
  return ok_status();
}

bool written_by_mlx(const SafetensorsSet& files) {
  return std::any_of(files.files.begin(), files.files.end(),
                     [](const SafetensorsFile& file) { return file.header.format == "mlx"; });
}

}  // namespace

Result<Checkpoint> open_huggingface(const std::string& folder, const OpenOptions& options) {
  const fs::path base(folder);
  Checkpoint out;
  out.path = folder;
  out.format = "safetensors";
  CONTINUO_TRY(out.config, read_config(base, options.config_file));
  CONTINUO_TRY(out.generation_config, optional_object(base / "generation_config.json"));
  CONTINUO_RETURN_IF_ERROR(read_tokenizer(base, out));
  CONTINUO_TRY(out.chat_template, read_chat_template(base, out.tokenizer_config));
  if (!options.weights) return out;

  CONTINUO_RETURN_IF_ERROR(check_quantization(out.config, folder));
  CONTINUO_TRY(std::unique_ptr<SafetensorsSet> files, open_safetensors_folder(folder));
  if (written_by_mlx(*files)) out.format = "mlx";
  CONTINUO_TRY(out.tensors, make_safetensors_source(std::move(files), out.config));
  if (out.format == "mlx") {
    CONTINUO_TRY(out.tensors, make_mlx_source(std::move(out.tensors), out.config, folder));
  }
  return out;
}

}  // namespace continuo::checkpoint
