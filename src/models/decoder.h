// Decoder: what attention families share beyond Model: the usual keys of a config, read once, and
// the usual layers. A family's file says what differs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/model.h"

namespace continuo::models {

class Decoder : public Model {
 protected:
  // Reads num_attention_heads, num_key_value_heads, head_dim, attention_bias, rotary settings,
  // intermediate_size, hidden_act, mlp_bias. Scores are scaled by head_dim^-0.5. Unsupported
  // options (attention both ways) throw ConfigError.
  Decoder(const ConfigView& config, HasTensor has, const RopeDefaults& rope = {});

  // Every layer sees the last `window` keys only (itself included); 0 = all.
  void set_windows(int64_t window);
  // Layers of type "sliding_attention" see the last `sliding_window` keys. Types come from
  // `layer_types`, or from `sliding_window_pattern`: n (each n-th layer is full) or letters such as
  // "LLLG" (repeated; the last layer is full). Without a window all layers are full.
  void read_layer_types(const ConfigView& config, int64_t pattern);

  // The layer's attention block: its window and rotation filled in.
  SelfAttention attention_block(const Step& step, int64_t index) const;
  // q_norm and k_norm under the layer's self_attn, over each head's D (weight [D]) or over all
  // heads together (weight [heads*D]).
  void norm_heads(Step& step, SelfAttention& block, int64_t index, double offset = 0) const;
  void norm_projections(Step& step, SelfAttention& block, int64_t index) const;

  Value attend(Step& step, int64_t index, Value x, const SelfAttention& block) const;
  // PREFIX.mlp: gate_proj, up_proj, down_proj.
  Value mlp(Step& step, int64_t index, Value x) const;

  // x + s*attn(norm(x)), then x + s*mlp(norm(x)): input_layernorm, post_attention_layernorm.
  Value pre_norm_layer(Step& step, int64_t index, Value x, double residual_scale = 1) const;
  // x + norm(attn(x)), then x + norm(mlp(x)): post_attention_layernorm, post_feedforward_layernorm.
  Value post_norm_layer(Step& step, int64_t index, Value x, const SelfAttention& block) const;

  struct LayerAttention {
    int64_t window = 0;  // 0 = all
    bool sliding = false;
    bool rotates = true;
  };
  std::vector<LayerAttention> layers_;
  SelfAttention attention_;
  RopeConfig rope_;
  std::optional<RopeConfig> sliding_rope_;  // of sliding layers, where it is another
  int64_t inner_ = 0;
  Activation act_;
  Bias mlp_bias_ = Bias::kNone;

 private:
  void name_mixers();
};

}  // namespace continuo::models
