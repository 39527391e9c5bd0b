#!/usr/bin/env python3
"""FAMILY_other/: one more tiny case a family, with the choices that FAMILY/ does not make.

    other_choices.py [FAMILY ...] [--out FOLDER]

FAMILY/config.json is turned over key by key (`turned`), so that what one case holds constant the other varies: one
expert a token, one KV head or as many as query heads, the other bias, the other tying, another first layer, a
kernel of 2, a chunk that divides nothing, odd sizes. What cannot be turned by rule is in OWN.
"""
import transformers_case as maker

SKIPPED = {"architectures", "dtype", "torch_dtype", "transformers_version", "model_type", "vocab_size", "rope_parameters",
           "full_attn_idxs", "pad_token_id", "bos_token_id", "eos_token_id", "time_step_limit", "initializer_range"}
BIASES = ("attention_bias", "mlp_bias", "use_bias", "use_conv_bias", "mamba_conv_bias", "mamba_proj_bias", "conv_bias",
          "qkv_bias", "use_qkv_bias", "projectors_bias", "attention_out_bias")


def turned(c):
    """The keyword arguments of a family's config class, each choice the other way."""
    n = {k: v for k, v in c.items() if k not in SKIPPED and v is not None}
    n["vocab_size"], n["hidden_size"] = 151, 36
    n["tie_word_embeddings"] = not c.get("tie_word_embeddings", False)
    if "num_attention_heads" in c:
        n["num_attention_heads"] = 3
        kv = c.get("num_key_value_heads", 3)
        n["num_key_value_heads"] = 3 if kv == 1 else 1
        if "head_dim" in n:
            n["head_dim"] = 10
    for key in BIASES:
        if key in c:
            n[key] = not c[key]
    if "intermediate_size" in c:
        n["intermediate_size"] = 35
    for key in ("num_local_experts", "num_experts", "n_routed_experts"):
        if c.get(key, 0) > 1:
            n[key] = 3
    for key in ("num_experts_per_tok", "num_experts_per_token"):
        if key in c:
            n[key] = 1
    for key, value in (("moe_intermediate_size", 13), ("shared_expert_intermediate_size", 9),
                       ("moe_shared_expert_intermediate_size", 11), ("shared_intermediate_size", 17), ("chunk_size", 11),
                       ("mamba_chunk_size", 11), ("block_size", 11), ("conv_kernel", 2), ("mamba_d_conv", 2), ("conv_L_cache", 2),
                       ("conv1d_width", 2), ("linear_conv_kernel_dim", 2), ("n_group", 1), ("topk_group", 1),
                       ("state_size", 7), ("mamba_d_state", 7), ("ssm_state_size", 7), ("q_lora_rank", None)):
        if key in c:
            n[key] = value
    for key in ("n_groups", "mamba_n_groups", "mamba_ngroups"):
        if key in c:
            n[key] = 1 if c[key] > 1 else 2
    if "norm_topk_prob" in c:
        n["norm_topk_prob"] = not c["norm_topk_prob"]
    for key in ("layer_types", "layers_block_type"):
        if key in n:
            kinds = n[key][::-1]
            n[key] = list(dict.fromkeys(kinds)) if len(set(kinds)) > 1 else kinds[:1]
            n["num_hidden_layers"] = len(n[key])
    if "layer_types" not in n and "layers_block_type" not in n and "num_hidden_layers" in n:
        n["num_hidden_layers"] = 2
    if n.get("sliding_window"):
        n["sliding_window"] = 5
    rope = c.get("rope_parameters")
    if rope and "sliding_attention" in rope:
        rope = {"full_attention": {"rope_type": "default", "rope_theta": 10000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 500.0}}
    elif rope:
        rope = {"rope_type": "default", "rope_theta": 777.0}
        if "partial_rotary_factor" in c["rope_parameters"]:
            rope["partial_rotary_factor"] = 0.4 if c["rope_parameters"]["partial_rotary_factor"] == 1.0 else 1.0
    if rope:
        n["rope_parameters"] = rope
    return n


# Where the rule gives no model of the family, or where the family has a choice of its own.
OWN = {
    "llama": {"num_hidden_layers": 1},
    "mistral": {"sliding_window": None, "num_key_value_heads": 3, "num_hidden_layers": 1},
    "mixtral": {"sliding_window": 9},
    "cohere": {"use_qk_norm": True, "hidden_size": 42, "tie_word_embeddings": True},
    "cohere2": {"tie_word_embeddings": True},
    "granite": {"hidden_size": 42},
    "qwen2": {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1, "hidden_size": 42,
              "layer_types": ["full_attention", "sliding_attention"], "num_hidden_layers": 2},
    "qwen2_moe": {"hidden_size": 42, "mlp_only_layers": [0], "layer_types": ["full_attention"] * 2, "num_hidden_layers": 2},
    "qwen3": {"num_key_value_heads": 3},
    "qwen3_moe": {"mlp_only_layers": [0], "num_hidden_layers": 2},
    "phi3": {"hidden_size": 60, "sliding_window": None, "rope_parameters": {"rope_type": "default", "rope_theta": 777.0,
                                                                         "partial_rotary_factor": 0.4}},
    "stablelm": {"hidden_size": 60, "qk_layernorm": True, "use_parallel_residual": True,
                 "rope_parameters": {"rope_type": "default", "rope_theta": 777.0, "partial_rotary_factor": 0.4}},
    "starcoder2": {"hidden_size": 42, "sliding_window": None},
    "smollm3": {"hidden_size": 42, "no_rope_layers": [0, 1], "layer_types": ["full_attention"] * 2, "num_hidden_layers": 2},
    "olmo2": {"hidden_size": 42},
    "olmo3": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0},
                                  "sliding_attention": {"rope_type": "default", "rope_theta": 500000.0}},
              "tie_word_embeddings": False},
    "arcee": {},
    "ernie4_5": {},
    "olmoe": {"hidden_size": 42},
    "glm4": {"rope_parameters": {"rope_type": "default", "rope_theta": 777.0, "partial_rotary_factor": 0.4}},
    "gemma2": {"attn_logit_softcapping": None, "final_logit_softcapping": None, "query_pre_attn_scalar": 17,
               "num_key_value_heads": 3},
    "gemma3_text": {"query_pre_attn_scalar": 17, "num_key_value_heads": 3},
    "gpt_oss": {"intermediate_size": 20},
    "exaone4": {"sliding_window": None, "sliding_window_pattern": None, "layer_types": ["full_attention"] * 2,
                "num_hidden_layers": 2},
    "deepseek_v3": {"num_key_value_heads": 3, "head_dim": 6, "n_shared_experts": 2, "first_k_dense_replace": 0, "n_routed_experts": 3,
                    "rope_interleave": False, "v_head_dim": 7, "qk_nope_head_dim": 9, "qk_rope_head_dim": 6,
                    "kv_lora_rank": 11, "num_hidden_layers": 2},
    "minicpm3": {"num_key_value_heads": 3, "q_lora_rank": 9, "v_head_dim": 7, "qk_nope_head_dim": 9, "qk_rope_head_dim": 6,
                 "kv_lora_rank": 11},
    "mamba": {"hidden_size": 20, "intermediate_size": 60, "expand": 3, "time_step_rank": 2},
    "falcon_mamba": {"hidden_size": 20, "intermediate_size": 60, "expand": 3, "time_step_rank": 2},
    "mamba2": {"hidden_size": 30, "head_dim": 12, "num_heads": 5},
    "bamba": {"hidden_size": 42, "mamba_d_head": 14, "mamba_n_heads": 6, "attn_layer_indices": [0], "num_hidden_layers": 2},
    "falcon_h1": {"mamba_d_ssm": 48, "mamba_d_head": 12, "mamba_n_heads": 4, "mamba_rms_norm": True,
                  "mamba_norm_before_gate": True, "num_hidden_layers": 1, "tie_word_embeddings": False},
    "granitemoehybrid": {"hidden_size": 42, "mamba_d_head": 14, "mamba_n_heads": 6, "position_embedding_type": "rope",
                         "tie_word_embeddings": False},
    "jamba": {"hidden_size": 42, "attn_layer_offset": 0, "attn_layer_period": 2, "expert_layer_offset": 0,
              "mamba_dt_rank": 5, "num_hidden_layers": 2},
    "nemotron_h": {"mamba_head_dim": 14, "mamba_num_heads": 3, "head_dim": 10, "mlp_bias": True},
    "lfm2": {"hidden_size": 42, "block_auto_adjust_ff_dim": False},
    "zamba2": {"num_attention_heads": 2, "num_key_value_heads": 2, "attention_head_dim": 36, "attention_hidden_size": 72,
               "mamba_headdim": 18, "n_mamba_heads": 4, "num_mem_blocks": 2, "use_mem_rope": False,
               "use_shared_attention_adapter": False, "add_bias_linear": True, "kv_channels": 18, "num_query_groups": 2,
               "layers_block_type": ["linear_attention", "hybrid", "hybrid"], "hybrid_layer_ids": [1, 2], "num_hidden_layers": 3},
    "recurrent_gemma": {"lru_width": 36, "intermediate_size": 50, "num_key_value_heads": 3, "head_dim": 12,
                        "block_types": ["attention", "recurrent"], "num_hidden_layers": 2, "attention_window_size": 9,
                        "logits_soft_cap": 30.0},
    "qwen3_next": {"linear_num_key_heads": 1, "linear_num_value_heads": 3, "linear_key_head_dim": 6, "linear_value_head_dim": 10},
    "qwen3_5_text": {"linear_num_key_heads": 3, "linear_num_value_heads": 3, "linear_key_head_dim": 6,
                     "linear_value_head_dim": 10,
                     "rope_parameters": {"rope_type": "default", "rope_theta": 777.0, "partial_rotary_factor": 0.6,
                                         "mrope_section": [1, 1, 1], "mrope_interleaved": True}},
    "olmo_hybrid": {"hidden_size": 42, "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 7,
                    "linear_value_head_dim": 11, "linear_allow_neg_eigval": False},
    "kimi_linear": {"num_key_value_heads": 3, "linear_head_dim": 10, "linear_num_heads": 2,
                    "mlp_layer_types": ["sparse", "sparse"], "v_head_dim": 7, "qk_nope_head_dim": 9, "qk_rope_head_dim": 6,
                    "qk_head_dim": 15, "kv_lora_rank": 11, "num_shared_experts": 2},
    "minimax": {},
    "seed_oss": {},
    "internlm3": {},
    "gemma": {},
}


# A tied embedding that outweighs the layers repeats its input for ever; falcon_h1, granitemoehybrid and olmo3, of
# which that is true for every seed, are not tied here either.
GAINS = {"olmo2": {"post_norm": 2.0}}


def case(name, config):
    return {"model_type": config["model_type"], "config": {**turned(config), **OWN[name]}, "store": "bfloat16",
            "lengths": (1, 5, 12, 37), "new_tokens": 12, "first_seed": 4000, "gains": GAINS.get(name, {})}


if __name__ == "__main__":
    maker.make_variants(__doc__, "_other", sorted(OWN), case)
