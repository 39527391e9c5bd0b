// RWKV-7, with the names of flash-linear-attention (conversion/rwkv.py, Rwkv7Model).
#include <array>

#include "checkpoint/gguf_arch.h"
#include "checkpoint/gguf_config.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

constexpr std::array kRules = {
    NameRule{"token_embd", "model.embeddings"},
    NameRule{"token_embd_norm", "model.layers.0.pre_norm"},
    NameRule{"attn_norm", "attn_norm"},
    NameRule{"attn_norm_2", "ffn_norm"},
    NameRule{"time_mix_ln", "attn.g_norm"},
    NameRule{"time_mix_k_k.weight", "attn.k_k"},
    NameRule{"time_mix_k_a.weight", "attn.k_a"},
    NameRule{"time_mix_receptance", "attn.r_proj"},
    NameRule{"time_mix_key", "attn.k_proj"},
    NameRule{"time_mix_value", "attn.v_proj"},
    NameRule{"time_mix_output", "attn.o_proj"},
    NameRule{"time_mix_w1.weight", "attn.w_lora.lora.0.weight"},
    NameRule{"time_mix_w2.weight", "attn.w_lora.lora.2.weight"},
    NameRule{"time_mix_w0.weight", "attn.w_lora.lora.2.bias"},
    NameRule{"time_mix_a1.weight", "attn.a_lora.lora.0.weight"},
    NameRule{"time_mix_a2.weight", "attn.a_lora.lora.2.weight"},
    NameRule{"time_mix_a0.weight", "attn.a_lora.lora.2.bias"},
    NameRule{"time_mix_v1.weight", "attn.v_lora.lora.0.weight"},
    NameRule{"time_mix_v2.weight", "attn.v_lora.lora.2.weight"},
    NameRule{"time_mix_v0.weight", "attn.v_lora.lora.2.bias"},
    NameRule{"time_mix_g1.weight", "attn.g_lora.lora.0.weight"},
    NameRule{"time_mix_g2.weight", "attn.g_lora.lora.2.weight"},
    NameRule{"channel_mix_key", "ffn.key"},
    NameRule{"channel_mix_value", "ffn.value"},
    NameRule{"channel_mix_lerp_k.weight", "ffn.x_k", How::kFlat},
};

void map_lerp(GgufMapper& mapper, const LayerTensor& part) {
  constexpr std::string_view kOrder = "rwkvag";
  const int64_t hidden = mapper.metadata().positive("embedding_length");
  if (part.tensor.shape.elements() != hidden * static_cast<int64_t>(kOrder.size())) {
    mapper.metadata().fail(fmt::format("tensor '{}' has shape {}, wanted [{},1,1,{}]",
                                       part.tensor.name, part.tensor.shape, kOrder.size(), hidden));
    return;
  }
  for (size_t i = 0; i < kOrder.size(); ++i) {
    mapper.add(part.layer, fmt::format("attn.x_{}", kOrder[i]), Shape{1, 1, hidden},
               {mapper.piece(part.tensor, static_cast<int64_t>(i) * hidden, hidden)});
  }
}

bool map_rwkv(GgufMapper& mapper, const LayerTensor& part) {
  // Layer 0 has no value residual; the converter fills its place with copies.
  if (part.layer == 0 &&
      (part.suffix.starts_with("time_mix_v0") || part.suffix.starts_with("time_mix_v1") ||
       part.suffix.starts_with("time_mix_v2"))) {
    return true;
  }
  if (part.suffix == "time_mix_lerp_fused.weight") {
    map_lerp(mapper, part);
    return true;
  }
  if (part.suffix != "time_mix_r_k.weight") return false;
  const int64_t dim = mapper.metadata().positive("wkv.head_size");
  mapper.add(part.layer, "attn.r_k", Shape{part.tensor.shape.elements() / dim, dim},
             {mapper.piece(part.tensor)});
  return true;
}

void rwkv7_config(GgufMetadata& metadata, json& config) {
  base_config(metadata, config);
  const int64_t hidden = metadata.positive("embedding_length");
  const int64_t dim = metadata.positive("wkv.head_size");
  config["head_dim"] = dim;
  config["num_heads"] = hidden / dim;
  config["norm_eps"] = metadata.number("attention.layer_norm_epsilon");
  config["intermediate_size"] = metadata.positive("feed_forward_length");
  config["max_position_embeddings"] = metadata.positive("context_length");
  config["decay_low_rank_dim"] = metadata.positive("attention.decay_lora_rank");
  config["a_low_rank_dim"] = metadata.positive("attention.iclr_lora_rank");
  config["v_low_rank_dim"] = metadata.positive("attention.value_residual_mix_lora_rank");
  config["gate_low_rank_dim"] = metadata.positive("attention.gate_lora_rank");
  config["hidden_act"] = "sqrelu";
  config["norm_first"] = true;
  config["norm_bias"] = true;
  config["attn"] = nullptr;
  config["value_dim"] = std::vector<int64_t>(static_cast<size_t>(metadata.layers()), hidden);
}

constexpr std::array kArchitectures = {
    GgufArchitecture{"rwkv7", "rwkv7", "RWKV7ForCausalLM", true, "model.layers.", kRules,
                     rwkv7_config, map_rwkv},
};

}  // namespace

std::span<const GgufArchitecture> gguf_rwkv_architectures() { return kArchitectures; }

}  // namespace continuo::checkpoint
