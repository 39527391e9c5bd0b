// Safetensors files as a TensorSource: stored tensors, and logical ones made of several planes.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensor_source.h"

namespace continuo::checkpoint {

// What is presented beside tensors as they are stored:
// - `X.weight` (U32), `X.scales`, `X.biases` -> kAffine `X.weight` [.., out, in], as MLX writes;
// - `X_blocks`, `X_scales` (U8) -> kMXFP4 `X` [experts, in, out], as transformers dequantises;
// - `X.weight` (U32), `X.scales` (U8) in MLX's mode "mxfp4" -> the same under its own name;
// - `P.switch_mlp.N_proj.weight` [experts, ..] -> also `P.experts.E.N_proj.weight` for each expert
//   (w1, w2, w3 where P ends in block_sparse_moe; Nemotron-H's fc1, fc2), undoing the stacking of
//   mlx-lm.
// A tensor of a type that no DType has (F8_E4M3, ...) is listed as kU8, but reading it fails.
// `config` is config.json. Errors name file, tensor, wanted and got; see affine_settings.
Result<std::unique_ptr<TensorSource>> make_safetensors_source(std::unique_ptr<SafetensorsSet> files,
                                                              const nlohmann::json& config);

}  // namespace continuo::checkpoint
