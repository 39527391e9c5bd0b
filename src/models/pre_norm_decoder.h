// The decoder that most families are: RMSNorm before attention and before the feed-forward block,
// rotary grouped-query attention, SiLU-gated MLP. A family states its defaults and overrides what
// differs.
#pragma once

#include <vector>

#include "models/model.h"

namespace continuo::models {

// What the family's configuration class has where config.json has no such key.
struct DecoderDefaults {
  double theta = 10000;
  int64_t head_dim = 0;          // 0 = hidden_size / num_attention_heads
  int64_t kv_heads = 0;          // 0 = num_attention_heads
  bool attention_bias = false;   // of q, k and v; also of the output where out_bias says so
  bool out_bias_follows = true;  // the output projection has a bias iff q, k and v have
  const char* inner = "intermediate_size";
};

class PreNormDecoder : public Model {
 public:
  PreNormDecoder(const ConfigView& config, HasTensor has, const DecoderDefaults& defaults = {});
  Value layer(Step& step, int64_t index, Value x) const override;

 protected:
  // The attention block of a layer, tensors under PREFIX.self_attn.
  virtual SelfAttention attention_block(Step& step, int64_t index) const;
  // x:[R,T,H], normed -> [R,T,H].
  virtual Value attend(Step& step, int64_t index, Value x) const;
  virtual Value feed_forward(Step& step, int64_t index, Value x) const;

  std::string attention_prefix(int64_t index) const { return layer_prefix(index) + ".self_attn"; }
  // Keys a query of each layer sees, 0 = all; also facts().mixers.
  void set_windows(std::vector<int64_t> windows);

  SelfAttention attention_;
  RopeConfig rope_;
  std::vector<int64_t> windows_;
  int64_t inner_ = 0;
  Bias mlp_bias_ = Bias::kNone;
  Activation act_;
};

// The same window in every layer: `sliding_window`, null = none, `fallback` where the key is
// absent.
std::vector<int64_t> uniform_windows(const ConfigView& config, int64_t layers, int64_t fallback);
// One entry a layer, "full_attention" or "sliding_attention" with `window` keys. Empty where
// config.json has no `layer_types`.
std::vector<int64_t> windows_of_layer_types(const ConfigView& config, int64_t layers,
                                            int64_t window);

}  // namespace continuo::models
