// A folder as Hugging Face's hub and mlx-lm lay it out.
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"

namespace continuo::checkpoint {

// config.json (or options.config_file), generation_config.json, tokenizer files, chat template and
// safetensors. Errors name the file: a missing config.json or weights, broken JSON, or weights in a
// form that cannot be read.
Result<Checkpoint> open_huggingface(const std::string& folder, const OpenOptions& options);

}  // namespace continuo::checkpoint
