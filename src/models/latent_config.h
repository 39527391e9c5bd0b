// Latent attention as the configs of DeepSeek and its relatives give it.
#pragma once

#include "models/config_view.h"
#include "ops/latent_block.h"

namespace continuo::models {

// num_attention_heads, q_lora_rank (null or absent: queries are not projected down), kv_lora_rank,
// qk_nope_head_dim, qk_rope_head_dim, v_head_dim (fallback: hidden / heads). Scores are scaled by
// the head's size^-0.5. Without biases and rotation.
ops::LatentBlock read_latent_block(const ConfigView& config, int64_t hidden);

}  // namespace continuo::models
