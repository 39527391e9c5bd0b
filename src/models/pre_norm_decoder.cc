#include "models/pre_norm_decoder.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace continuo::models {
namespace {

// A size whose key may be absent (`absent`) or null (`null`), which configuration classes tell
// apart.
int64_t optional_size(const ConfigView& config, const char* key, int64_t absent, int64_t null) {
  return config.size(key, config.raw().contains(key) ? null : absent);
}

}  // namespace

PreNormDecoder::PreNormDecoder(const ConfigView& config, HasTensor has,
                               const DecoderDefaults& defaults)
    : Model(config, std::move(has)) {
  const int64_t heads = config.size("num_attention_heads"), shared = facts_.hidden / heads;
  attention_.heads = heads;
  attention_.kv_heads = optional_size(config, "num_key_value_heads",
                                      defaults.kv_heads > 0 ? defaults.kv_heads : heads, heads);
  attention_.head_dim =
      optional_size(config, "head_dim", defaults.head_dim > 0 ? defaults.head_dim : shared, shared);
  if (attention_.head_dim < 1 || heads % attention_.kv_heads != 0)
    config.fail(
        fmt::format("wanted num_key_value_heads to divide num_attention_heads and a "
                    "positive head_dim, got {}, {} and {}",
                    attention_.kv_heads, heads, attention_.head_dim));
  attention_.options.scale = 1 / std::sqrt(double(attention_.head_dim));
  attention_.bias =
      config.flag("attention_bias", defaults.attention_bias) ? Bias::kYes : Bias::kNone;
  attention_.out_bias = defaults.out_bias_follows ? attention_.bias : Bias::kNone;
  rope_ = read_rope(config, attention_.head_dim, {.theta = defaults.theta});
  facts_.rope_switches_at = rope_.switches_at();
  inner_ = config.size(defaults.inner);
  mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
  act_ = activation(config.text("hidden_act", "silu"));
  set_windows(std::vector<int64_t>(static_cast<size_t>(facts_.layers), 0));
}

void PreNormDecoder::set_windows(std::vector<int64_t> windows) {
  windows_ = std::move(windows);
  facts_.mixers.clear();
  for (int64_t window : windows_)
    facts_.mixers.push_back(window > 0 ? fmt::format("window {}", window) : "attention");
}

Value PreNormDecoder::layer(Step& step, int64_t index, Value x) const {
  const std::string prefix = layer_prefix(index);
  x = x + attend(step, index, rms_norm(step, x, prefix + ".input_layernorm", norm_eps_));
  return x + feed_forward(step, index,
                          rms_norm(step, x, prefix + ".post_attention_layernorm", norm_eps_));
}

SelfAttention PreNormDecoder::attention_block(Step& step, int64_t index) const {
  SelfAttention block = attention_;
  block.rope = rope_.rope(step.shape().limit);
  block.options.window = windows_[static_cast<size_t>(index)];
  return block;
}

Value PreNormDecoder::attend(Step& step, int64_t index, Value x) const {
  return self_attention(step, x, attention_prefix(index), state_name(index),
                        attention_block(step, index));
}

Value PreNormDecoder::feed_forward(Step& step, int64_t index, Value x) const {
  return gated_mlp(step, x, layer_prefix(index) + ".mlp", inner_, act_, mlp_bias_);
}

std::vector<int64_t> uniform_windows(const ConfigView& config, int64_t layers, int64_t fallback) {
  const bool absent = !config.raw().contains("sliding_window");
  const int64_t window = config.integer("sliding_window", absent ? fallback : 0);
  if (window < 0)
    config.fail(fmt::format("sliding_window: wanted a positive number or null, got {}", window));
  return std::vector<int64_t>(static_cast<size_t>(layers), window);
}

std::vector<int64_t> windows_of_layer_types(const ConfigView& config, int64_t layers,
                                            int64_t window) {
  std::vector<int64_t> windows;
  if (!config.has("layer_types")) return windows;
  const std::vector<std::string> types = config.strings("layer_types");
  if (static_cast<int64_t>(types.size()) != layers)
    config.fail(fmt::format("layer_types: wanted one a layer ({}), got {}", layers, types.size()));
  for (const std::string& type : types) {
    if (type != "full_attention" && type != "sliding_attention")
      config.fail(fmt::format(
          "layer_types: wanted \"full_attention\" or \"sliding_attention\", got \"{}\"", type));
    if (type == "sliding_attention" && window < 1)
      config.fail("layer_types has \"sliding_attention\", but there is no sliding_window");
    windows.push_back(type == "sliding_attention" ? window : 0);
  }
  return windows;
}

}  // namespace continuo::models
