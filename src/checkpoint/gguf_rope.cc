// RoPE's scaling as GGUF has it, back into transformers' rope_parameters.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "checkpoint/gguf_config.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

// "llama3" scaling (modeling_rope_utils.py, _compute_llama3_parameters): the factor of each
// frequency by its wavelength.
struct Llama3 {
  double factor = 1, low = 1, high = 4, original = 8192;

  double at(double wavelength) const {
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const double smooth = (original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  }
};

double wavelength(double theta, size_t i, size_t count) {
  const double exponent = static_cast<double>(i) / static_cast<double>(count);
  return 2 * std::numbers::pi * std::pow(theta, exponent);
}

bool reproduces(const Llama3& scaling, const std::vector<float>& factors, double theta) {
  for (size_t i = 0; i < factors.size(); ++i) {
    const double wanted = scaling.at(wavelength(theta, i, factors.size()));
    if (!(std::abs(wanted - double{factors[i]}) <= 1e-4 * wanted)) return false;
  }
  return true;
}

// GGUF has the factors of the frequencies, not the four numbers that made them. The largest is
// `factor`; one frequency between the extremes gives `original` once low and high are known, and
// every published model has 1 and 4.
std::optional<Llama3> llama3_from(const std::vector<float>& factors, double theta) {
  Llama3 scaling;
  scaling.factor = shortest_decimal(*std::max_element(factors.begin(), factors.end()));
  if (!(scaling.factor > 1) || !std::isfinite(scaling.factor)) return std::nullopt;
  for (size_t i = 0; i < factors.size(); ++i) {
    const double factor = factors[i];
    if (!(factor > 1.0001 && factor < 0.9999 * scaling.factor)) continue;
    const double inverse = 1 / scaling.factor;
    const double smooth = (1 / factor - inverse) / (1 - inverse);
    const double original = wavelength(theta, i, factors.size()) *
                            (smooth * (scaling.high - scaling.low) + scaling.low);
    if (original >= 1 && original < 1e9) scaling.original = std::round(original);
    break;
  }
  if (!reproduces(scaling, factors, theta)) return std::nullopt;
  return scaling;
}

json as_json(const std::vector<float>& values) {
  json list = json::array();
  for (float value : values) list.push_back(shortest_decimal(value));
  return list;
}

void add_frequency_factors(GgufMetadata& metadata, double theta, json& rope) {
  const std::vector<float> factors = metadata.values("rope_freqs.weight");
  if (factors.empty()) return;
  if (const std::optional<Llama3> scaling = llama3_from(factors, theta)) {
    rope["rope_type"] = "llama3";
    rope["factor"] = scaling->factor;
    rope["low_freq_factor"] = scaling->low;
    rope["high_freq_factor"] = scaling->high;
    rope["original_max_position_embeddings"] = static_cast<int64_t>(scaling->original);
    return;
  }
  // Other factors: longrope divides the frequencies by them as they are.
  rope["rope_type"] = "longrope";
  rope["long_factor"] = rope["short_factor"] = as_json(factors);
  rope["original_max_position_embeddings"] = metadata.positive("context_length");
  rope["attention_factor"] = 1.0;
}

void add_yarn(GgufMetadata& metadata, json& rope) {
  rope["rope_type"] = "yarn";
  rope["factor"] = metadata.number("rope.scaling.factor");
  rope["original_max_position_embeddings"] =
      metadata.integer("rope.scaling.original_context_length", metadata.positive("context_length"));
  const std::pair<const char*, const char*> optional[] = {
      {"rope.scaling.yarn_attn_factor", "attention_factor"},
      {"rope.scaling.yarn_beta_fast", "beta_fast"},
      {"rope.scaling.yarn_beta_slow", "beta_slow"},
  };
  for (const auto& [key, name] : optional) {
    if (metadata.has(key)) rope[name] = metadata.number(key);
  }
}

void add_longrope(GgufMetadata& metadata, json& rope) {
  const std::vector<float> longer = metadata.values("rope_factors_long.weight");
  const std::vector<float> shorter = metadata.values("rope_factors_short.weight");
  if (longer.empty() || shorter.empty()) return;
  rope["rope_type"] = "longrope";
  rope["long_factor"] = as_json(longer);
  rope["short_factor"] = as_json(shorter);
  rope["original_max_position_embeddings"] =
      metadata.integer("rope.scaling.original_context_length", metadata.positive("context_length"));
}

}  // namespace

json rope_parameters(GgufMetadata& metadata, int64_t head_dim) {
  const double theta = metadata.number("rope.freq_base", 10000.0);
  json rope = {{"rope_type", "default"}, {"rope_theta", theta}};
  const int64_t rotated = metadata.integer("rope.dimension_count", head_dim);
  if (rotated > 0 && rotated != head_dim) {
    rope["partial_rotary_factor"] = static_cast<double>(rotated) / static_cast<double>(head_dim);
  }
  const std::string type = metadata.text("rope.scaling.type", "none");
  if (type == "linear") {
    rope["rope_type"] = "linear";
    rope["factor"] = metadata.number("rope.scaling.factor");
  } else if (type == "yarn") {
    add_yarn(metadata, rope);
  } else if (metadata.has("rope.scale_linear")) {
    rope["rope_type"] = "linear";  // before rope.scaling.type existed
    rope["factor"] = metadata.number("rope.scale_linear");
  }
  add_frequency_factors(metadata, theta, rope);
  add_longrope(metadata, rope);
  return rope;
}

}  // namespace continuo::checkpoint
