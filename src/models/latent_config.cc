#include "models/latent_config.h"

#include <cmath>

namespace continuo::models {

ops::LatentBlock read_latent_block(const ConfigView& config, int64_t hidden) {
  ops::LatentBlock block;
  block.heads = config.size("num_attention_heads");
  block.q_rank = config.optional_size("q_lora_rank", 0);
  block.kv_rank = config.size("kv_lora_rank");
  block.nope_dim = config.size("qk_nope_head_dim");
  block.rope_dim = config.size("qk_rope_head_dim");
  block.value_dim = config.size("v_head_dim", hidden / block.heads);
  block.scale = 1 / std::sqrt(double(block.nope_dim + block.rope_dim));
  block.bias = config.flag("attention_bias", false) ? ops::Bias::kYes : ops::Bias::kNone;
  return block;
}

}  // namespace continuo::models
