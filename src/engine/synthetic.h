// Models of a published shape with seeded random weights: for measuring without a checkpoint.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/loaded_model.h"

namespace continuo::engine {

// Names that load_synthetic takes: "llama-3.2-1b", "mamba2-130m" ...
std::vector<std::string> synthetic_names();

// As load_model, with options.model naming a shape. The tensors exist only while they are read.
Result<std::unique_ptr<LoadedModel>> load_synthetic(const LoadOptions& options);

}  // namespace continuo::engine
