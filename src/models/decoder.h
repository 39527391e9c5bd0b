// Decoder: what attention families share beyond Model: the usual keys of a config, read once, and
// the usual layers, made of four parts. A family's file says what differs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "models/model.h"

namespace continuo::models {

class Decoder : public Model {
 public:
  // x + attend(norm(x)), then x + feed_forward(norm(x)): input_layernorm, post_attention_layernorm.
  Value layer(Step& step, int64_t index, Value x) const override;
  Value final_norm(Step& step, Value x) const override;

 protected:
  // Reads num_attention_heads, num_key_value_heads, head_dim, attention_bias, rotary settings,
  // intermediate_size, hidden_act. A family whose reference has an mlp_bias reads it itself.
  // Scores are scaled by head_dim^-0.5. Attention both ways throws ConfigError.
  Decoder(const ConfigView& config, HasTensor has, const RopeDefaults& rope = {});

  // The parts of a layer. x:[R,T,H] -> [R,T,H].
  virtual Value norm(Step& step, Value x, const std::string& name) const;  // RMSNorm
  // The layer's attention, its window, rotation and norms of q and k filled in.
  virtual SelfAttention attention_block(Step& step, int64_t index) const;
  virtual Value attend(Step& step, int64_t index, Value x) const;
  // PREFIX.mlp: gate_proj, up_proj, down_proj.
  virtual Value feed_forward(Step& step, int64_t index, Value x) const;

  // Layers that put the parts together in another way.
  // x + norm(attend(x)), then x + norm(feed_forward(x)): post_attention_layernorm,
  // post_feedforward_layernorm.
  Value post_norm_layer(Step& step, int64_t index, Value x) const;
  // x + attend(h) + feed_forward(h), h = norm(x): input_layernorm.
  Value parallel_layer(Step& step, int64_t index, Value x) const;

  std::string attention_prefix(int64_t index) const { return layer_prefix(index) + ".self_attn"; }

  // `sliding_window`, 0 where it is null or absent.
  static int64_t read_window(const ConfigView& config);
  // Every layer sees the last `window` keys only (itself included); 0 = all.
  void set_windows(int64_t window);
  // The sliding layers see the last `window` keys: those `layer_types` names, or where the config
  // has none those for which `slides` holds. Without a window all layers are full.
  using Slides = std::function<bool(int64_t index)>;
  void set_windows(const ConfigView& config, int64_t window, const Slides& slides);
  // The same for `sliding_window` and `sliding_window_pattern`: n (each n-th layer is full) or
  // letters such as "LLLG" (repeated; the last layer is full).
  void read_windows(const ConfigView& config, int64_t pattern);

  struct LayerAttention {
    int64_t window = 0;  // 0 = all
    bool rotates = true;
  };
  // Tensors that some families call otherwise.
  struct Names {
    std::string feed_forward = "mlp", feed_forward_norm = "post_attention_layernorm";
    std::string final_norm = "norm";
  };
  // q_norm and k_norm: over each head's D (weight [D]), or over all heads together ([heads*D]).
  enum class QkNorm { kNone, kEachHead, kAllHeads };

  Names names_;
  std::vector<LayerAttention> layers_;
  SelfAttention attention_;
  QkNorm qk_norm_ = QkNorm::kNone;
  RopeConfig rope_;
  std::optional<RopeConfig> sliding_rope_;  // of sliding layers, where it is another
  int64_t inner_ = 0;
  Activation act_;
  Bias mlp_bias_ = Bias::kNone;

 private:
  void name_mixers();
};

}  // namespace continuo::models
