"""The cases that transformers_case.py makes by name."""

TEXT = dict(hidden_size=24, intermediate_size=28, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
            head_dim=14, rms_norm_eps=1e-6, max_position_embeddings=64, bos_token_id=1, eos_token_id=2, pad_token_id=0,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0))
VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=28, patch_size=14)
WRAPPED = {"store": "bfloat16", "lengths": (1, 5, 12, 20), "new_tokens": 12, "layers": False}

# model_type, the configuration, and optionally: "named" (the model_type that the hub's config has where its code
# is another type's), "served_limit" (fixes dynamic NTK's base), "hub" (keys that the older spelling has besides), "says"
# (what config.json says besides, once the weights are written), "lengths" of the prompts and "new_tokens", "store" (the
# weights' type), "first_seed", "gains" (case_weights.py), "layers" (whether layers.json is written), "renames" (of tensors
# in the file), and of a wrapper of a text model "class" (of the whole model; only the text model's tensors are kept) and
# "inside" (one more config around it).
CASES = {
    # The full shape: low-rank queries, groups of which the best compete, YaRN. The eps is large, so that a norm
    # inside the latent attention, which has an eps of its own, cannot use it unnoticed.
    "deepseek_v2": {
        "model_type": "deepseek_v2",
        "config": dict(vocab_size=151, hidden_size=48, intermediate_size=72, num_hidden_layers=3, num_attention_heads=4,
                       num_key_value_heads=4, q_lora_rank=28, kv_lora_rank=20, qk_nope_head_dim=12, qk_rope_head_dim=8,
                       v_head_dim=10, n_routed_experts=8, n_shared_experts=2, num_experts_per_tok=3,
                       moe_intermediate_size=18, first_k_dense_replace=1, topk_method="group_limited_greedy", n_group=4,
                       topk_group=2, routed_scaling_factor=2.5, norm_topk_prob=False, rms_norm_eps=1e-2,
                       max_position_embeddings=256,
                       rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=32, beta_slow=1,
                                            mscale=0.707, mscale_all_dim=0.707, original_max_position_embeddings=64)),
        "hub": dict(scoring_func="softmax", moe_layer_freq=1, seq_aux=True, aux_loss_alpha=0.001, ep_size=1),
    },
    # The lite shape: plain queries, no groups (null), every layer sparse.
    "deepseek_v2_lite": {
        "model_type": "deepseek_v2",
        "config": dict(vocab_size=149, hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=5,
                       num_key_value_heads=5, q_lora_rank=None, kv_lora_rank=24, qk_nope_head_dim=10,
                       qk_rope_head_dim=6, v_head_dim=14, n_routed_experts=6, n_shared_experts=1, num_experts_per_tok=2,
                       moe_intermediate_size=20, first_k_dense_replace=0, topk_method="greedy", n_group=None,
                       topk_group=None, routed_scaling_factor=1.0, norm_topk_prob=False, rms_norm_eps=1e-6,
                       max_position_embeddings=256, rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
        "hub": dict(scoring_func="softmax", moe_layer_freq=1),
    },
    # Kimi K2: DeepSeek-V3's code with one group, under a model_type of its own.
    "kimi_k2": {
        "model_type": "deepseek_v3",
        "named": "kimi_k2",
        "config": dict(vocab_size=157, hidden_size=40, intermediate_size=60, num_hidden_layers=2, num_attention_heads=4,
                       num_key_value_heads=4, q_lora_rank=22, kv_lora_rank=18, qk_nope_head_dim=10, qk_rope_head_dim=6,
                       v_head_dim=12, n_routed_experts=6, n_shared_experts=1, num_experts_per_tok=2,
                       moe_intermediate_size=20, first_k_dense_replace=1, n_group=1, topk_group=1,
                       routed_scaling_factor=2.827, norm_topk_prob=True, rms_norm_eps=1e-6, max_position_embeddings=256,
                       rope_parameters=dict(rope_type="default", rope_theta=50000.0)),
        "hub": dict(scoring_func="sigmoid", topk_method="noaux_tc", moe_layer_freq=1),
    },
    # Dynamic NTK beyond its trained length of 32: answers that end there have the base that a served limit of 80
    # fixes (docs/adr/0009), which is the context that `continuo verify` gives to the others.
    "llama_dynamic_rope": {
        "model_type": "llama",
        "served_limit": 80,
        "config": dict(vocab_size=137, hidden_size=40, intermediate_size=52, num_hidden_layers=2, num_attention_heads=4,
                       num_key_value_heads=2, head_dim=10, rms_norm_eps=1e-6, max_position_embeddings=32,
                       rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=3.0)),
    },
    # Granite 4 without experts: 0 of 0, and only the shared MLP.
    "granitemoehybrid_dense": {
        "model_type": "granitemoehybrid",
        "config": dict(vocab_size=139, hidden_size=36, intermediate_size=44, num_hidden_layers=3, num_attention_heads=6,
                       num_key_value_heads=2, num_local_experts=0, num_experts_per_tok=0, shared_intermediate_size=52,
                       layer_types=["mamba", "attention", "mamba"], position_embedding_type="rope",
                       mamba_n_heads=9, mamba_d_head=8, mamba_d_state=10, mamba_n_groups=1, mamba_d_conv=4,
                       mamba_expand=2, mamba_chunk_size=16, mamba_conv_bias=True, attention_multiplier=0.3,
                       embedding_multiplier=5.0, residual_multiplier=0.6, logits_scaling=2.0, rms_norm_eps=1e-5,
                       tie_word_embeddings=False, max_position_embeddings=256,
                       rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    },
    # The full layer's rotation is scaled, the sliding layers' is not.
    "olmo3": {
        "model_type": "olmo3",
        "config": dict(vocab_size=163, hidden_size=40, intermediate_size=56, num_hidden_layers=4, num_attention_heads=4,
                       num_key_value_heads=2, rms_norm_eps=1e-5, max_position_embeddings=256, sliding_window=9,
                       tie_word_embeddings=False,
                       rope_parameters=dict(
                           full_attention=dict(rope_type="yarn", rope_theta=20000.0, factor=4.0, beta_fast=32,
                                               beta_slow=1, original_max_position_embeddings=64, attention_factor=1.2),
                           sliding_attention=dict(rope_type="default", rope_theta=500000.0))),
    },
    "arcee": {
        "model_type": "arcee",
        "config": dict(vocab_size=161, hidden_size=44, intermediate_size=60, num_hidden_layers=3, num_attention_heads=4,
                       num_key_value_heads=2, head_dim=14, rms_norm_eps=1e-5, max_position_embeddings=256,
                       attention_bias=False, mlp_bias=True, tie_word_embeddings=False,
                       rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, beta_fast=32, beta_slow=1,
                                            mscale=1.0, original_max_position_embeddings=64)),
    },
    "ernie4_5": {
        "model_type": "ernie4_5",
        "config": dict(vocab_size=159, hidden_size=40, intermediate_size=52, num_hidden_layers=3, num_attention_heads=6,
                       num_key_value_heads=2, head_dim=12, rms_norm_eps=1e-5, max_position_embeddings=256,
                       use_bias=True, tie_word_embeddings=True,
                       rope_parameters=dict(rope_type="default", rope_theta=50000.0)),
    },
    # A head of its own in the file of a model that says it is tied: transformers ties only what is equal or absent.
    "llama_own_head": {
        "model_type": "llama", "store": "bfloat16", "lengths": (1, 5, 12, 20), "new_tokens": 12, "layers": False,
        "says": {"tie_word_embeddings": True},
        "config": dict(vocab_size=131, hidden_size=24, intermediate_size=28, num_hidden_layers=1, num_attention_heads=2,
                       num_key_value_heads=1, head_dim=14, rms_norm_eps=1e-6, max_position_embeddings=64,
                       tie_word_embeddings=False, rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    },
    # Answers that end beyond the trained length (60), all of them on the long factors or all on the short (up to 32).
    "phi3_longrope_beyond": {
        "model_type": "phi3", "store": "bfloat16", "lengths": (1, 5, 33, 57), "new_tokens": 12, "layers": False,
        "config": dict(vocab_size=127, hidden_size=40, intermediate_size=28, num_hidden_layers=2, num_attention_heads=4,
                       num_key_value_heads=2, rms_norm_eps=1e-5, max_position_embeddings=60, sliding_window=None,
                       original_max_position_embeddings=32, tie_word_embeddings=False,
                       rope_parameters=dict(rope_type="longrope", rope_theta=10000.0, short_factor=[1.0, 1.1, 1.3, 1.6, 2.0],
                                            long_factor=[1.0, 1.7, 2.9, 4.1, 6.3], original_max_position_embeddings=32)),
    },
    "llama_yarn_beyond": {
        "model_type": "llama", "store": "bfloat16", "lengths": (1, 5, 33, 57), "new_tokens": 12, "layers": False,
        "config": dict(vocab_size=133, hidden_size=36, intermediate_size=28, num_hidden_layers=2, num_attention_heads=3,
                       num_key_value_heads=1, head_dim=14, rms_norm_eps=1e-6, max_position_embeddings=48,
                       rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=3.0,
                                            original_max_position_embeddings=16)),
    },
    # Only a head in the file of a model that says it is tied: transformers embeds with it.
    "llama_only_head": {
        "model_type": "llama", "store": "bfloat16", "lengths": (1, 5, 12, 20), "new_tokens": 12, "layers": False,
        "renames": {"model.embed_tokens.weight": "lm_head.weight"},
        "config": dict(vocab_size=139, hidden_size=24, intermediate_size=28, num_hidden_layers=1, num_attention_heads=2,
                       num_key_value_heads=1, head_dim=14, rms_norm_eps=1e-6, max_position_embeddings=64,
                       tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    },
    # Wrappers of text models, each with its own place for the config, the tensors and the head.
    "wrapped_gemma3": {
        **WRAPPED, "model_type": "gemma3", "class": "Gemma3ForConditionalGeneration",
        "config": dict(tie_word_embeddings=True, mm_tokens_per_image=4,
                       text_config=dict(TEXT, model_type="gemma3_text", vocab_size=141, num_hidden_layers=2, sliding_window=6,
                                        query_pre_attn_scalar=17, layer_types=["sliding_attention", "full_attention"],
                                        rope_parameters=dict(
                                            full_attention=dict(rope_type="default", rope_theta=20000.0),
                                            sliding_attention=dict(rope_type="default", rope_theta=500.0))),
                       vision_config=dict(VISION, model_type="siglip_vision_model")),
    },
    "wrapped_llava": {
        **WRAPPED, "model_type": "llava", "class": "LlavaForConditionalGeneration",
        "config": dict(tie_word_embeddings=False, image_token_index=142, text_config=dict(TEXT, model_type="llama", vocab_size=143),
                       vision_config=dict(VISION, model_type="clip_vision_model", projection_dim=8)),
    },
    "wrapped_mistral3": {
        **WRAPPED, "model_type": "mistral3", "class": "Mistral3ForConditionalGeneration",
        "config": dict(tie_word_embeddings=False, image_token_index=144,
                       text_config=dict(TEXT, model_type="mistral", vocab_size=145, sliding_window=None),
                       vision_config=dict(VISION, model_type="pixtral", head_dim=8)),
    },
    "wrapped_qwen2_5_omni": {
        **WRAPPED, "model_type": "qwen2_5_omni_thinker", "class": "Qwen2_5OmniThinkerForConditionalGeneration",
        "inside": {"config": "thinker_config", "prefix": "thinker.",
                   "says": {"architectures": ["Qwen2_5OmniModel"], "model_type": "qwen2_5_omni"}},
        "config": dict(tie_word_embeddings=False, audio_token_index=144, image_token_index=145, video_token_index=146,
                       vision_start_token_id=143,
                       text_config=dict(TEXT, model_type="qwen2_5_omni_text", vocab_size=147, hidden_size=28, num_hidden_layers=2,
                                        tie_word_embeddings=False,
                                        rope_parameters=dict(rope_type="default", rope_theta=10000.0, mrope_section=[2, 2, 3])),
                       vision_config=dict(depth=1, hidden_size=8, intermediate_size=8, num_heads=1, out_hidden_size=28),
                       audio_config=dict(d_model=8, encoder_layers=1, encoder_attention_heads=1, encoder_ffn_dim=8, output_dim=28)),
    },
}
