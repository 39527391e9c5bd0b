#!/usr/bin/env python3
"""FAMILY_long/: tiny models on prompts beyond 256 tokens: another context bucket, another prefill chunk, a real window.

    long_prompts.py [FAMILY ...] [--out FOLDER]
"""
import transformers_case as maker

NOT_ARGUMENTS = ("architectures", "dtype", "transformers_version", "time_step_limit", "model_type")
LONG = {
    "mistral": {"sliding_window": 140, "num_hidden_layers": 1, "max_position_embeddings": 1024},
    "mamba2": {"chunk_size": 64, "num_hidden_layers": 2, "hidden_size": 32, "num_heads": 4},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"], "num_hidden_layers": 2, "hidden_size": 24,
                   "num_experts": 3, "num_experts_per_tok": 1, "moe_intermediate_size": 12,
                   "shared_expert_intermediate_size": 10, "max_position_embeddings": 1024},
    "deepseek_v3": {"num_hidden_layers": 2, "hidden_size": 24, "intermediate_size": 20, "moe_intermediate_size": 12,
                    "first_k_dense_replace": 1, "max_position_embeddings": 1024},
}


def case(name, config):
    kept = {key: value for key, value in config.items() if key not in NOT_ARGUMENTS and value is not None}
    return {"model_type": config["model_type"], "config": {**kept, "vocab_size": 160, **LONG[name]},
            "store": "bfloat16", "lengths": (270, 3, 9, 530), "new_tokens": 12, "first_seed": 7000}


if __name__ == "__main__":
    maker.make_variants(__doc__, "_long", list(LONG), case)
