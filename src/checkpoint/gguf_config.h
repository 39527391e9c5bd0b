// A GGUF's metadata and tensors as Hugging Face's config.json and tensor names.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/gguf_file.h"
#include "checkpoint/gguf_metadata.h"
#include "checkpoint/gguf_tensors.h"

namespace continuo::checkpoint {

struct GgufModel {
  nlohmann::json config;             // with transformers 5's spelling
  std::vector<GgufMapping> tensors;  // sorted by name
};

// `parts`: the bytes of each file of the checkpoint. An architecture that is not known, a tensor
// that the architecture does not have and sizes that contradict each other are errors.
Result<GgufModel> map_gguf(const GgufFile& file, std::span<const std::span<const std::byte>> parts);

// For documentation: every architecture, and whether a test compares a file of it with the same
// model's safetensors.
struct GgufArchitectureRow {
  std::string_view name, model_type;
  bool tested;
};
std::vector<GgufArchitectureRow> gguf_architectures();

// Parts of a configuration that several architectures share.

// Sizes, vocabulary, special tokens, tying; what every decoder has.
void base_config(GgufMetadata& metadata, nlohmann::json& config);
// base_config() and heads, RMS epsilon, MLP width, SiLU, biases, RoPE.
void transformer_config(GgufMetadata& metadata, nlohmann::json& config);
// transformers 5's rope_parameters: theta, scaling (linear, yarn, llama3, longrope), rotated part.
nlohmann::json rope_parameters(GgufMetadata& metadata, int64_t head_dim);
// attention.key_length, or embedding_length / head_count.
int64_t head_dim(GgufMetadata& metadata);
// "sliding_attention" and "full_attention" by attention.sliding_window_pattern, or where the file
// has none: every `period`-th layer attends to everything.
nlohmann::json sliding_layer_types(GgufMetadata& metadata, int64_t period);
// attention.layer_norm_epsilon or attention.layer_norm_rms_epsilon, whichever the file has.
double norm_epsilon(GgufMetadata& metadata);

}  // namespace continuo::checkpoint
