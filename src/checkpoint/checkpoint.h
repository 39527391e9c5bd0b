// Checkpoint: what is at a model path, opened. A Hugging Face folder, an MLX folder or a GGUF file.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "checkpoint/json.h"
#include "checkpoint/tensor_source.h"

namespace continuo::checkpoint {

struct Checkpoint {
  std::string path;       // as given
  std::string format;     // "safetensors" | "mlx" | "gguf"
  nlohmann::json config;  // Hugging Face's config.json; for GGUF the same, from its metadata
  nlohmann::json generation_config;  // generation_config.json, or null
  // Tokenizer and template material, raw; text/ reads it. Empty where the checkpoint has none.
  std::string tokenizer_json;       // contents of tokenizer.json
  nlohmann::json tokenizer_config;  // tokenizer_config.json, or null
  // Where there is no tokenizer.json: the file that holds the vocabulary instead.
  std::string tokenizer_file_name;    // tokenizer.model, tekken.json, ...; "" = none
  std::string tokenizer_file;         // its bytes
  std::string tokenizer_merges;       // merges.txt, where tokenizer_file is vocab.json
  nlohmann::json special_tokens_map;  // special_tokens_map.json, or null
  nlohmann::json added_tokens;        // added_tokens.json, or null
  std::string chat_template;          // chat_template.jinja, or tokenizer_config's, or GGUF's
  nlohmann::json gguf_tokenizer;  // GGUF: the metadata under "tokenizer." with those keys, or null
  std::unique_ptr<TensorSource> tensors;
};

struct OpenOptions {
  std::string config_file;  // "" = the folder's config.json; else this file instead
  bool weights = true;      // false: config and tokenizer only, `tensors` is null
};

// Opens a folder or a .gguf file. Reads headers only; tensor bytes stay in the mapped file.
Result<Checkpoint> open(const std::string& path, const OpenOptions& options = {});

}  // namespace continuo::checkpoint
