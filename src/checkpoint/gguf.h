// Opens a GGUF file as a checkpoint with Hugging Face's configuration and tensor names.
#pragma once

#include <string>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_config.h"

namespace continuo::checkpoint {

// `path`: a .gguf file; of a split one any part ("-00001-of-00003.gguf"), the others lie beside it.
// Reads headers only. options.config_file, where given, replaces the configuration.
Result<Checkpoint> open_gguf(const std::string& path, const OpenOptions& options = {});

}  // namespace continuo::checkpoint
