// Whether a checkpoint holds a head of its own.
#pragma once

#include "checkpoint/tensor_source.h"
#include "models/model.h"

namespace continuo::engine {

// Whether there are a head and an embedding, and they differ. transformers then ties nothing,
// whatever the config says: a fine-tune may have untied them and kept the word.
bool has_own_head(const checkpoint::TensorSource& tensors, const models::Model& model);

}  // namespace continuo::engine
