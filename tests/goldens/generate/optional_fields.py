#!/usr/bin/env python3
"""optional_fields.json: what each optional field of each family does to its model in transformers, by its parameters.

    optional_fields.py [--out FILE]

For every field that a family's configuration class lets be null, the number of parameters that the model gains where
the field is absent, null and 0, compared with the family's first case; null where transformers builds no model.
"""
import argparse
import json
from dataclasses import fields
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

GOLDENS = Path(__file__).resolve().parent.parent
NOT_ARGUMENTS = ("architectures", "dtype", "time_step_limit")
OTHERS_CODE = {"kimi_k2", "plamo2", "rwkv7"}  # not in transformers under this name
NO_PART = ("token_id", "dropout", "pretraining_tp", "id2label", "label2id", "problem_type", "_name_or_path", "dtype",
           "architectures", "use_cache", "num_logits_to_keep", "z_loss", "router_aux_loss", "output_router_logits",
           "initializer", "chunk_size", "rope_parameters", "transformers_version", "output_hidden_states", "return_dict")
# What classes do not call optional, and configs leave out all the same.
ALSO = ("n_shared_experts", "num_experts", "num_local_experts", "n_routed_experts", "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size", "n_group", "topk_group", "first_k_dense_replace", "mamba_conv_bias",
        "use_conv_bias", "conv_bias", "mamba_proj_bias", "use_bias", "qkv_bias", "mlp_bias", "attention_bias", "norm_topk_prob",
        "tie_word_embeddings", "use_sliding_window", "sliding_window", "head_dim", "num_key_value_heads")


EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")  # spellings of one field


def elements(config):
    config = dict(config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(config.pop("model_type"), **config))
    biases = [buffer for name, buffer in model.named_buffers() if name.endswith("e_score_correction_bias")]
    sizes = [tensor.numel() for tensor in list(model.parameters()) + biases]
    if 0 in sizes:
        raise ValueError("a tensor without elements")
    return sum(sizes)


def edited(config, field):
    """The configuration without the field, with null and with 0 in it."""
    without = {key: value for key, value in config.items() if key != field}
    return without, {**without, field: None}, {**without, field: 0}


def gained(config, field):
    row, before = [], elements(config)
    for each in edited(config, field):
        try:
            row.append(elements(each) - before)
        except Exception:  # whatever a configuration or a layer raises on values it was not made for
            row.append(None)
    return row


def optional_fields(model_type):
    names = [field.name for field in fields(AutoConfig.for_model(model_type))
             if "None" in str(field.type) or field.name in ALSO]
    return [name for name in names if not any(part in name for part in NO_PART)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=GOLDENS / "optional_fields.json")
    given = parser.parse_args()
    transformers.logging.set_verbosity_error()
    found, families = {}, set()
    for path in sorted(GOLDENS.glob("*/config.json")):
        config = json.loads(path.read_text())
        family = config["model_type"]
        if path.parent.name.startswith("mlx_") or not path.with_name("golden.json").exists():
            continue
        if family in families | OTHERS_CODE or "text_config" in config or "thinker_config" in config:
            continue
        families.add(family)
        config = {key: value for key, value in config.items() if key not in NOT_ARGUMENTS}
        found[path.parent.name] = {field: gained(config, field) for field in optional_fields(family)
                                   if field not in EXPERTS or field in config}
    lines = [f'"{name}": {json.dumps(row)}' for name, row in found.items() if row]
    Path(given.out).write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
