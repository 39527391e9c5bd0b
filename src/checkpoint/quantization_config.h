// What config.json says about quantised weights.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace continuo::checkpoint {

struct AffineSettings {
  int bits = 0;
  int group_size = 0;
};

// Of a module path such as "model.layers.0.mlp.gate_proj": its own entry in config's "quantization"
// (or "quantization_config") where there is one, else the general one. Errors: none given
// (kCorrupt), a mode other than "affine", or bits or a group size that MLX does not have
// (kUnsupported).
Result<AffineSettings> affine_settings(const nlohmann::json& config, std::string_view module);

// Whether the config says of this module, or of all, that it is in MLX's mode "mxfp4".
bool is_mxfp4(const nlohmann::json& config, std::string_view module);

// kUnsupported where config names a "quant_method" that this build cannot read (gptq, awq, fp8,
// ...).
Status check_quantization(const nlohmann::json& config, const std::string& where);

}  // namespace continuo::checkpoint
