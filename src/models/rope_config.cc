#include "models/rope_config.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace continuo::models {

ops::Rope RopeConfig::rope(int64_t limit) const {
  ops::Rope rope = ops::plain_rope(dims, theta, interleaved);
  if (type == "linear") return ops::linear_rope(std::move(rope), factor);
  if (type == "llama3")
    return ops::llama3_rope(std::move(rope), factor, low_freq_factor, high_freq_factor,
                            original_positions);
  if (type == "yarn") return ops::yarn_rope(std::move(rope), yarn);
  if (type == "longrope") {
    const bool is_long = double(limit) > original_positions;
    return ops::long_rope(std::move(rope), is_long ? long_factors : short_factors,
                          attention_factor);
  }
  if (type == "dynamic" && double(limit) > max_positions && dims > 2) {
    const double stretch = factor * double(limit) / max_positions - (factor - 1);
    const double base = theta * std::pow(stretch, double(dims) / double(dims - 2));
    return ops::plain_rope(dims, base, interleaved);
  }
  return rope;
}

std::optional<int64_t> RopeConfig::switches_at() const {
  if (type == "dynamic") return static_cast<int64_t>(max_positions);
  if (type != "longrope") return std::nullopt;
  return static_cast<int64_t>(original_positions);
}

namespace {

constexpr int64_t kLargestDims = 65536;  // the tables are written into the graph

// The object that holds the scaling: rope_parameters (one for all layers, or one a layer type), or
// the older rope_scaling.
ConfigView scaling_of(const ConfigView& config, const std::string& layer_type) {
  if (config.has("rope_parameters")) {
    const ConfigView parameters = config.object("rope_parameters");
    if (!layer_type.empty() && parameters.has(layer_type.c_str()))
      return parameters.object(layer_type.c_str());
    return parameters;
  }
  return config.object("rope_scaling");
}

void read_yarn(const ConfigView& scaling, RopeConfig& rope) {
  rope.yarn = ops::Yarn{rope.theta,
                        rope.factor,
                        rope.original_positions,
                        scaling.number("beta_fast", 32),
                        scaling.number("beta_slow", 1),
                        scaling.number("attention_factor", 0),
                        scaling.number("mscale", 0),
                        scaling.number("mscale_all_dim", 0),
                        scaling.flag("truncate", true)};
}

void read_longrope(const ConfigView& scaling, RopeConfig& rope) {
  rope.short_factors = scaling.numbers("short_factor");
  rope.long_factors = scaling.numbers("long_factor");
  for (const auto* factors : {&rope.short_factors, &rope.long_factors})
    if (static_cast<int64_t>(factors->size()) * 2 != rope.dims)
      scaling.fail(fmt::format("wanted {} entries in short_factor and long_factor, got {}",
                               rope.dims / 2, factors->size()));
  const double stretch = scaling.number("factor", rope.max_positions / rope.original_positions);
  rope.attention_factor = scaling.number(
      "attention_factor",
      stretch <= 1 ? 1.0 : std::sqrt(1 + std::log(stretch) / std::log(rope.original_positions)));
}

}  // namespace

RopeConfig read_rope(const ConfigView& config, int64_t head_dim, const RopeDefaults& defaults) {
  const ConfigView scaling = scaling_of(config, defaults.layer_type);
  RopeConfig rope;
  rope.interleaved = defaults.interleaved;
  rope.theta = scaling.number("rope_theta", config.number("rope_theta", defaults.theta));
  if (!(rope.theta > 0 && std::isfinite(rope.theta)))
    config.fail(fmt::format("rope_theta: wanted a positive number, got {}", rope.theta));
  const double partial = scaling.number(
      "partial_rotary_factor",
      config.number({"partial_rotary_factor", "rotary_pct", "rope_pct"}, defaults.partial));
  if (!(partial > 0 && partial <= 1))
    config.fail(fmt::format("partial_rotary_factor: wanted 0 < f <= 1, got {}", partial));
  rope.dims = static_cast<int64_t>(double(head_dim) * partial);
  if (rope.dims < 2 || rope.dims % 2 != 0 || rope.dims > kLargestDims)
    config.fail(fmt::format("wanted an even number of rotary dimensions, at most {}, got {} of {}",
                            kLargestDims, rope.dims, head_dim));
  rope.type = scaling.text({"rope_type", "type"}, "default");
  if (rope.type == "su") rope.type = "longrope";
  if (rope.type == "mrope") rope.type = "default";  // text only: all three sections are equal
  rope.max_positions = config.number("max_position_embeddings", 0);
  rope.factor = scaling.number("factor", 1);
  if (!(rope.factor > 0 && std::isfinite(rope.factor)))
    scaling.fail(fmt::format("factor: wanted a positive number, got {}", rope.factor));
  rope.original_positions =
      scaling.number("original_max_position_embeddings",
                     config.number("original_max_position_embeddings", rope.max_positions));
  if (rope.type != "default" && !(rope.original_positions >= 1))
    config.fail("original_max_position_embeddings: wanted a positive number");
  if (rope.type == "dynamic" && !(rope.max_positions >= 1))
    config.fail("max_position_embeddings: wanted a positive number beside rope type \"dynamic\"");
  if (rope.type == "llama3") {
    rope.low_freq_factor = scaling.number("low_freq_factor");
    rope.high_freq_factor = scaling.number("high_freq_factor");
  } else if (rope.type == "yarn") {
    read_yarn(scaling, rope);
  } else if (rope.type == "longrope") {
    read_longrope(scaling, rope);
  } else if (rope.type != "default" && rope.type != "linear" && rope.type != "dynamic") {
    config.fail(
        fmt::format("rope type \"{}\" is not supported; known: default, linear, dynamic, "
                    "llama3, yarn, longrope",
                    rope.type));
  }
  return rope;
}

RopeConfig read_sliding_rope(const ConfigView& config, int64_t head_dim, double theta) {
  const char* const kType = "sliding_attention";
  if (config.object("rope_parameters").has(kType))
    return read_rope(config, head_dim, RopeDefaults{.theta = theta, .layer_type = kType});
  RopeConfig rope;
  rope.dims = head_dim;
  rope.theta = theta;
  return rope;
}

}  // namespace continuo::models
