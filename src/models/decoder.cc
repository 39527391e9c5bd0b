#include "models/decoder.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "models/layer_types.h"

namespace continuo::models {

Decoder::Decoder(const ConfigView& config, HasTensor has, const RopeDefaults& rope)
    : Model(config, std::move(has)) {
  attention_.heads = config.size("num_attention_heads");
  attention_.kv_heads = config.size("num_key_value_heads", attention_.heads);
  attention_.head_dim = config.size("head_dim", facts_.hidden / attention_.heads);
  if (attention_.head_dim < 1 || attention_.heads % attention_.kv_heads != 0)
    config.fail(
        fmt::format("wanted num_key_value_heads to divide num_attention_heads and a "
                    "positive head_dim, got {}, {} and {}",
                    attention_.kv_heads, attention_.heads, attention_.head_dim));
  attention_.options.scale = 1 / std::sqrt(double(attention_.head_dim));
  attention_.bias = attention_.out_bias =
      config.flag("attention_bias", false) ? Bias::kYes : Bias::kNone;
  rope_ = read_rope(config, attention_.head_dim, rope);
  facts_.rope_switches_at = rope_.switches_at();
  inner_ = config.size("intermediate_size");
  act_ = activation(config.text({"hidden_act", "hidden_activation"}, "silu"));
  if (config.flag("use_bidirectional_attention", false))
    config.fail("use_bidirectional_attention: only causal attention is supported");
  set_windows(0);
}

int64_t Decoder::read_window(const ConfigView& config) {
  const int64_t window = config.integer("sliding_window", 0);
  if (window < 0) config.fail(fmt::format("sliding_window: wanted 0 or more, got {}", window));
  return window;
}

void Decoder::set_windows(int64_t window) {
  layers_.assign(static_cast<size_t>(facts_.layers), {window, true});
  name_mixers();
}

void Decoder::set_windows(const ConfigView& config, int64_t window, const Slides& slides) {
  const std::vector<std::string> types = read_layer_types(config, "layer_types", facts_.layers,
                                                          {"sliding_attention", "full_attention"});
  for (size_t i = 0; i < layers_.size(); ++i) {
    const bool listed = !types.empty() && types[i] == "sliding_attention";
    if (listed && window == 0)
      config.fail("layer_types has \"sliding_attention\", but there is no sliding_window");
    layers_[i].window = listed || (types.empty() && slides(int64_t(i))) ? window : 0;
  }
  name_mixers();
}

namespace {

// Whether a layer slides by `sliding_window_pattern`, or by `pattern` where the config has none.
bool slides_by_pattern(const ConfigView& config, int64_t layers, int64_t pattern, int64_t index) {
  const Keys key{"sliding_window_pattern", "_sliding_window_pattern"};
  const auto given = config.raw().find("sliding_window_pattern");
  if (given == config.raw().end() || !given->is_string())
    return (index + 1) % config.size(key, pattern) != 0;
  const std::string letters = config.text(key);
  if (letters.empty() || letters.find_first_not_of("LG") != std::string::npos)
    config.fail(fmt::format("sliding_window_pattern: wanted letters L and G, got \"{}\"", letters));
  return index + 1 < layers && letters[size_t(index) % letters.size()] == 'L';
}

}  // namespace

void Decoder::read_windows(const ConfigView& config, int64_t pattern) {
  set_windows(config, read_window(config), [&](int64_t index) {
    return slides_by_pattern(config, facts_.layers, pattern, index);
  });
}

void Decoder::name_mixers() {
  facts_.mixers.clear();
  for (const LayerAttention& layer : layers_)
    facts_.mixers.push_back(layer.window > 0 ? fmt::format("window {}", layer.window)
                                             : "attention");
}

Value Decoder::norm(Step& step, Value x, const std::string& name) const {
  return rms_norm(step, x, name, norm_eps_);
}

SelfAttention Decoder::attention_block(Step& step, int64_t index) const {
  const LayerAttention& layer = layers_[static_cast<size_t>(index)];
  SelfAttention block = attention_;
  block.options.window = layer.window;
  const RopeConfig& rope = layer.window > 0 && sliding_rope_ ? *sliding_rope_ : rope_;
  if (layer.rotates) block.rope = rope.rope(step.shape().limit);
  if (qk_norm_ == QkNorm::kNone) return block;
  block.qk_norm = [this, &step, prefix = attention_prefix(index)](Value x, char which) {
    const std::string name = prefix + "." + which + "_norm";
    if (qk_norm_ == QkNorm::kEachHead) return norm(step, x, name);
    return reshape(norm(step, reshape(x, {x.dim(0), x.dim(1), -1}), name), x.shape());
  };
  return block;
}

Value Decoder::attend(Step& step, int64_t index, Value x) const {
  return self_attention(step, x, attention_prefix(index), state_name(index),
                        attention_block(step, index));
}

Value Decoder::feed_forward(Step& step, int64_t index, Value x) const {
  return gated_mlp(step, x, layer_prefix(index) + "." + names_.feed_forward, inner_, act_,
                   mlp_bias_);
}

Value Decoder::layer(Step& step, int64_t index, Value x) const {
  const std::string prefix = layer_prefix(index);
  x = x + attend(step, index, norm(step, x, prefix + ".input_layernorm"));
  return x + feed_forward(step, index, norm(step, x, prefix + "." + names_.feed_forward_norm));
}

Value Decoder::post_norm_layer(Step& step, int64_t index, Value x) const {
  const std::string prefix = layer_prefix(index);
  x = x + norm(step, attend(step, index, x), prefix + ".post_attention_layernorm");
  return x + norm(step, feed_forward(step, index, x), prefix + ".post_feedforward_layernorm");
}

Value Decoder::parallel_layer(Step& step, int64_t index, Value x) const {
  const Value h = norm(step, x, layer_prefix(index) + ".input_layernorm");
  x = x + attend(step, index, h);
  return x + feed_forward(step, index, h);
}

Value Decoder::final_norm(Step& step, Value x) const {
  return norm(step, x, prefix_ + names_.final_norm);
}

}  // namespace continuo::models
