#include "models/decoder.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace continuo::models {

Decoder::Decoder(const ConfigView& config, HasTensor has, const RopeDefaults& rope)
    : Model(config, std::move(has)) {
  attention_.heads = config.size("num_attention_heads");
  attention_.kv_heads = config.size("num_key_value_heads", attention_.heads);
  attention_.head_dim = config.size("head_dim", facts_.hidden / attention_.heads);
  attention_.options.scale = 1 / std::sqrt(double(attention_.head_dim));
  attention_.bias = attention_.out_bias =
      config.flag("attention_bias", false) ? Bias::kYes : Bias::kNone;
  rope_ = read_rope(config, attention_.head_dim, rope);
  facts_.rope_switches_at = rope_.switches_at();
  inner_ = config.size("intermediate_size");
  act_ = activation(config.text({"hidden_act", "hidden_activation"}, "silu"));
  mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
  if (config.flag("use_bidirectional_attention", false))
    config.fail("use_bidirectional_attention: only causal attention is supported");
  set_windows(0);
}

void Decoder::set_windows(int64_t window) {
  layers_.assign(static_cast<size_t>(facts_.layers), {window, window > 0, true});
  name_mixers();
}

namespace {

// What `sliding_window_pattern` says of each layer, or `pattern` where the config has none.
std::vector<bool> sliding_by_pattern(const ConfigView& config, size_t layers, int64_t pattern) {
  std::vector<bool> sliding(layers);
  const Keys key{"sliding_window_pattern", "_sliding_window_pattern"};
  const auto given = config.raw().find("sliding_window_pattern");
  if (given != config.raw().end() && given->is_string()) {
    const std::string letters = config.text(key);
    if (letters.empty() || letters.find_first_not_of("LG") != std::string::npos)
      config.fail(
          fmt::format("sliding_window_pattern: wanted letters L and G, got \"{}\"", letters));
    for (size_t i = 0; i + 1 < layers; ++i) sliding[i] = letters[i % letters.size()] == 'L';
    return sliding;
  }
  const size_t every = static_cast<size_t>(config.size(key, pattern));
  for (size_t i = 0; i < layers; ++i) sliding[i] = (i + 1) % every != 0;
  return sliding;
}

std::vector<bool> sliding_layers(const ConfigView& config, size_t layers, int64_t pattern) {
  const std::vector<std::string> types = config.strings("layer_types");
  if (types.empty()) return sliding_by_pattern(config, layers, pattern);
  if (types.size() != layers)
    config.fail(fmt::format("layer_types: wanted {} entries, got {}", layers, types.size()));
  std::vector<bool> sliding(layers);
  for (size_t i = 0; i < layers; ++i) {
    if (types[i] != "sliding_attention" && types[i] != "full_attention")
      config.fail(fmt::format("layer_types: wanted sliding_attention or full_attention, got \"{}\"",
                              types[i]));
    sliding[i] = types[i] == "sliding_attention";
  }
  return sliding;
}

}  // namespace

void Decoder::read_layer_types(const ConfigView& config, int64_t pattern) {
  const int64_t window = config.integer("sliding_window", 0);
  if (window < 0) config.fail(fmt::format("sliding_window: wanted 0 or more, got {}", window));
  const std::vector<bool> sliding = sliding_layers(config, layers_.size(), pattern);
  for (size_t i = 0; i < layers_.size(); ++i)
    layers_[i] = {sliding[i] ? window : 0, sliding[i] && window > 0, true};
  name_mixers();
}

void Decoder::name_mixers() {
  facts_.mixers.clear();
  for (const LayerAttention& layer : layers_)
    facts_.mixers.push_back(layer.window > 0 ? fmt::format("window {}", layer.window)
                                             : "attention");
}

SelfAttention Decoder::attention_block(const Step& step, int64_t index) const {
  const LayerAttention& layer = layers_[static_cast<size_t>(index)];
  SelfAttention block = attention_;
  block.options.window = layer.window;
  const RopeConfig& rope = layer.sliding && sliding_rope_ ? *sliding_rope_ : rope_;
  if (layer.rotates) block.rope = rope.rope(step.shape().limit);
  return block;
}

void Decoder::norm_heads(Step& step, SelfAttention& block, int64_t index, double offset) const {
  const std::string prefix = layer_prefix(index) + ".self_attn.";
  block.qk_norm = [this, &step, prefix, offset](Value x, char which) {
    return rms_norm(step, x, prefix + which + "_norm", norm_eps_, offset);
  };
}

void Decoder::norm_projections(Step& step, SelfAttention& block, int64_t index) const {
  const std::string prefix = layer_prefix(index) + ".self_attn.";
  block.qk_norm = [this, &step, prefix](Value x, char which) {
    const Value row = reshape(x, {x.dim(0), x.dim(1), -1});
    return reshape(rms_norm(step, row, prefix + which + "_norm", norm_eps_), x.shape());
  };
}

Value Decoder::attend(Step& step, int64_t index, Value x, const SelfAttention& block) const {
  return self_attention(step, x, layer_prefix(index) + ".self_attn", state_name(index), block);
}

Value Decoder::mlp(Step& step, int64_t index, Value x) const {
  return gated_mlp(step, x, layer_prefix(index) + ".mlp", inner_, act_, mlp_bias_);
}

Value Decoder::pre_norm_layer(Step& step, int64_t index, Value x, double residual_scale) const {
  const std::string prefix = layer_prefix(index);
  const auto add = [residual_scale](Value sum, Value branch) {
    return residual_scale == 1 ? sum + branch : sum + branch * residual_scale;
  };
  const Value h = rms_norm(step, x, prefix + ".input_layernorm", norm_eps_);
  x = add(x, attend(step, index, h, attention_block(step, index)));
  const Value m = rms_norm(step, x, prefix + ".post_attention_layernorm", norm_eps_);
  return add(x, mlp(step, index, m));
}

Value Decoder::post_norm_layer(Step& step, int64_t index, Value x,
                               const SelfAttention& block) const {
  const std::string prefix = layer_prefix(index);
  const Value mixed = attend(step, index, x, block);
  x = x + rms_norm(step, mixed, prefix + ".post_attention_layernorm", norm_eps_);
  return x + rms_norm(step, mlp(step, index, x), prefix + ".post_feedforward_layernorm", norm_eps_);
}

}  // namespace continuo::models
