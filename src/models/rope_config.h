// Rotary settings as config.json gives them, in today's spelling (`rope_parameters`) and the older
// one (`rope_theta`, `rope_scaling`, `partial_rotary_factor` ...).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/config_view.h"
#include "ops/rope.h"

namespace continuo::models {

struct RopeConfig {
  std::string type = "default";  // default | linear | dynamic | llama3 | yarn | longrope
  double theta = 10000;
  int64_t dims = 0;  // of a head that turn
  bool interleaved = false;
  double factor = 1, low_freq_factor = 1, high_freq_factor = 4;
  double original_positions = 0;
  ops::Yarn yarn;
  std::vector<float> short_factors, long_factors;
  double attention_factor = 0;  // longrope and yarn: 0 = the formula's
  double max_positions = 0;

  // `limit`: the longest sequence that will be served (longrope's factors, dynamic's base).
  ops::Rope rope(int64_t limit) const;
  // The sequence length beyond which the tables change (longrope, dynamic); nullopt = never.
  std::optional<int64_t> switches_at() const;
};

struct RopeDefaults {
  double theta = 10000;
  double partial = 1;  // partial_rotary_factor where the config has none
  bool interleaved = false;
  std::string layer_type;  // "full_attention": rope_parameters may be given per layer type
};

// head_dim: the size of what rotates (MLA: the rope part). Unknown types throw ConfigError.
RopeConfig read_rope(const ConfigView& config, int64_t head_dim, const RopeDefaults& defaults = {});
// That of the sliding layers where it is not the full layers': rope_parameters'
// "sliding_attention". Configs of the older spelling scale the full layers alone: a plain rotation
// by `theta`.
RopeConfig read_sliding_rope(const ConfigView& config, int64_t head_dim, double theta);

}  // namespace continuo::models
