// Multi-head latent attention in GGUF (DeepSeek, MiniCPM3, Kimi).
#pragma once

#include <nlohmann/json.hpp>

#include "checkpoint/gguf_arch.h"

namespace continuo::checkpoint {

// q_lora_rank, kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim, v_head_dim and the heads.
void mla_config(GgufMetadata& metadata, nlohmann::json& config);
// attn_k_b [heads, rank, nope] and attn_v_b [heads, v, rank] as kv_b_proj [heads * (nope + v),
// rank]; true where the tensor is one of the two.
bool map_mla(GgufMapper& mapper, const LayerTensor& tensor);

}  // namespace continuo::checkpoint
