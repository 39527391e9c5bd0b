"""What checkpoints on the hub look like where transformers writes them in another way: older keys, tensors' names."""

import json
import re

from safetensors.torch import load_file, save_file
import torch

LEGACY_KINDS = {"linear_attention": "mamba", "full_attention": "attention"}
PATTERN_LETTERS = {"linear_attention": "M", "full_attention": "*", "moe": "E", "mlp": "-"}
KIMI_KEYS = (("num_local_experts", "num_experts"), ("num_experts_per_tok", "num_experts_per_token"),
             ("n_shared_experts", "num_shared_experts"), ("norm_topk_prob", "moe_renormalize"),
             ("n_group", "num_expert_group"), ("max_position_embeddings", "model_max_length"))


def infinities(value):
    if isinstance(value, dict) and "__float__" in value:
        return float(value["__float__"].replace("Infinity", "inf"))
    return [infinities(each) for each in value] if isinstance(value, list) else value


def spell_rope(config):
    """rope_theta and rope_scaling in place of rope_parameters."""
    rope = config.pop("rope_parameters", None)
    if not rope:
        return
    if "sliding_attention" in rope:
        if config["model_type"] != "olmo3":  # which has no key for it
            config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    rope = dict(rope)
    config["rope_theta"] = rope.pop("rope_theta", None)
    if "partial_rotary_factor" in rope:
        config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if rope["rope_type"] == "longrope":
        rope.pop("original_max_position_embeddings", None)
    renamed = {} if config["model_type"] == "olmo3" else {"rope_type": "type"}  # OLMo 3 never had the old name
    plain = rope["rope_type"] == "default" and not any(key.startswith("mrope") for key in rope)
    config["rope_scaling"] = None if plain else {
        renamed.get(key, key): value for key, value in rope.items()}


def spell_kimi(config):
    kinds = config.pop("layer_types")
    numbered = {kind: [i + 1 for i, each in enumerate(kinds) if each == kind] for kind in set(kinds)}
    config["linear_attn_config"] = {"full_attn_layers": numbered.get("full_attention", []),
                                    "kda_layers": numbered.get("linear_attention", []),
                                    "head_dim": config.pop("linear_head_dim"),
                                    "num_heads": config.pop("linear_num_heads"),
                                    "short_conv_kernel_size": config.pop("linear_conv_kernel_dim")}
    config["first_k_dense_replace"] = config.pop("mlp_layer_types").count("dense")
    config.update(mla_use_nope=True, moe_layer_freq=1, moe_router_activation_func="sigmoid", use_grouped_topk=True)
    for new, old in KIMI_KEYS:
        if new in config:
            config[old] = config.pop(new)


def spell_layers(config):
    """The families' own ways to say which layer is of which kind."""
    family, kinds = config["model_type"], config.get("layer_types", [])
    if family == "nemotron_h":
        kinds = config.pop("layers_block_type")
        config["hybrid_override_pattern"] = "".join(PATTERN_LETTERS[kind] for kind in kinds)
        config["num_hidden_layers"] = len(kinds)
        config.pop("mtp_layers_block_type", None)
    elif family == "granitemoehybrid":
        config["layer_types"] = [LEGACY_KINDS[kind] for kind in kinds]
    elif family == "zamba2":
        config["layers_block_type"] = [LEGACY_KINDS.get(kind, kind) for kind in config["layers_block_type"]]
    elif family == "kimi_linear":
        spell_kimi(config)
    elif family == "lfm2":
        config["full_attn_idxs"] = [i for i, kind in enumerate(config.pop("layer_types")) if kind == "full_attention"]
        config["block_ff_dim"] = config.pop("intermediate_size")
        config["tie_embedding"] = config.pop("tie_word_embeddings")
    elif family in ("qwen3_next", "qwen3_5_text") and kinds == ["linear_attention"] * (len(kinds) - 1) + ["full_attention"]:
        config.pop("layer_types")
        config["full_attention_interval"] = len(kinds)


def older_spelling(config, more):
    """The configuration as checkpoints on the hub have it, with the keys `more` that only they have."""
    config = {key: infinities(value) for key, value in json.loads(json.dumps(config)).items()}
    config["torch_dtype"] = config.pop("dtype", "float32")
    config["transformers_version"] = "4.50.0"
    spell_rope(config)
    spell_layers(config)
    family = config["model_type"]
    name = ("n_routed_experts" if family.startswith("deepseek") else
            "num_experts" if family in ("qwen2_moe", "qwen3_moe", "qwen3_next", "olmoe") else None)
    for key in ("num_local_experts", "num_experts") if name else ():
        if key in config:
            config[name] = config.pop(key)
    config.update(more)
    return config


def repair_names(path, config):
    """Undoes what save_pretrained writes and the hub does not have (README.md, "Things save_pretrained gets wrong")."""
    if config.model_type == "kimi_linear":
        def rename(name):
            return re.sub(r"(layers\.\d+)\.block_sparse_moe\.((?:gate|up|down)_proj\.)", r"\1.mlp.\2", name)
    elif config.model_type == "olmo_hybrid":
        full = {str(i) for i, kind in enumerate(config.layer_types) if kind == "full_attention"}

        def rename(name):
            inside = name.startswith("model.layers.") and name.split(".")[2] in full
            return name.replace("feedforward_layer_norm", "post_attention_layernorm") if inside else name
    else:
        return
    tensors = {rename(name): tensor for name, tensor in load_file(path).items()}
    if config.model_type == "olmo_hybrid":  # the fused convolution, which is cut into three equal parts
        widths = [config.linear_num_key_heads * config.linear_key_head_dim] * 2
        widths.append(config.linear_num_value_heads * config.linear_value_head_dim)
        for first in [name for name in tensors if name.endswith("linear_attn.q_conv1d.weight")]:
            names = [first.replace("q_conv1d", part) for part in ("q_conv1d", "k_conv1d", "v_conv1d")]
            whole = torch.cat([tensors[name] for name in names])
            tensors.update((name, part.contiguous()) for name, part in zip(names, whole.split(widths)))
    save_file(tensors, path, metadata={"format": "pt"})
