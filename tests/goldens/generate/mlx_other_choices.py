#!/usr/bin/env python3
"""rwkv7_other/ and plamo2_other/: second cases of the families that transformers has no code of, by mlx-lm on the CPU.

    mlx_other_choices.py [FAMILY ...] [--out FOLDER]

What mlx-lm fixes or lacks is put in here, as the families' own code has it: RWKV-7's group norm has an eps of head_dim *
norm_eps, its norms may have no bias and its first layer no norm before it; PLaMo 2 attends inside a window.
"""
import argparse
import json
import math
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import mlx_lm.models.plamo2 as plamo2
import mlx_lm.models.rwkv7 as rwkv7
import numpy as np
import torch
from mlx.utils import tree_flatten
from safetensors.torch import save_file

from case_weights import redrawn

LENGTHS, NEW_TOKENS, LEAST_MARGIN, DEAD_BELOW = (1, 5, 12, 37), 12, 2e-3, 1e-2
CONFIGS = {
    # One head, tied, no norm first, norms without bias, odd sizes.
    "rwkv7": dict(architectures=["RWKV7ForCausalLM"], model_type="rwkv7", attn=None, bos_token_id=1, eos_token_id=2,
                  hidden_act="sqrelu", norm_bias=False, norm_first=False, tie_word_embeddings=True, torch_dtype="bfloat16",
                  vocab_size=151, hidden_size=26, head_dim=26, num_hidden_layers=2, intermediate_size=35,
                  decay_low_rank_dim=5, gate_low_rank_dim=9, a_low_rank_dim=7, v_low_rank_dim=3, norm_eps=2e-5,
                  max_position_embeddings=64),
    # One KV head, not tied, two mixers in a row and attention last, every attention windowed, a kernel of 2.
    "plamo2": dict(architectures=["Plamo2ForCausalLM"], model_type="plamo2", bos_token_id=1, eos_token_id=2,
                   linear_type="normal", mamba_enabled=True, max_position_embeddings=64, tie_word_embeddings=False,
                   torch_dtype="bfloat16", use_predefined_initial_state=False, vocab_size=151, hidden_size=36,
                   hidden_size_per_head=10, num_hidden_layers=3, num_attention_heads=3, num_key_value_heads=1,
                   intermediate_size=35, mamba_d_state=7, mamba_d_conv=2, mamba_num_heads=3, mamba_step=4,
                   mamba_chunk_size=11, attention_window_size=8, full_attention_idx=None, rms_norm_eps=1e-5),
}


def windowed(x, _):
    """A token sees the window's width of earlier tokens besides itself."""
    at = mx.arange(x.shape[1])
    distance = at[:, None] - at[None]
    return (distance >= 0) & (distance <= CONFIGS["plamo2"]["attention_window_size"])


def build(family, config):
    module = {"rwkv7": rwkv7, "plamo2": plamo2}[family]
    model = module.Model(module.ModelArgs.from_dict(config))
    if family == "plamo2":
        module.create_attention_mask = windowed
        return model
    for layer in model.model.layers:
        layer.attn.g_norm.eps = config["head_dim"] * config["norm_eps"]
    model.model.layers[0].pre_norm = lambda x: x
    return model


def stored(family, model):
    """The checkpoint's tensors under the names and in the shapes of the hub: those of the family's first case."""
    tensors = {}
    for name, value in tree_flatten(model.parameters()):
        tensor = torch.from_numpy(np.array(value.astype(mx.float32)))
        if name.endswith("conv1d.weight"):
            tensor = tensor.movedim(2, 1)
        elif family == "rwkv7" and name.rsplit(".", 1)[-1] in ("k_k", "k_a") or ".g_norm." in name:
            tensor = tensor.flatten()
        if not name.endswith("norm.bias") or ".g_norm." in name:
            tensors[name] = tensor
    return tensors


def drawn(name, tensor, generator, tied):
    normal, leaf = torch.randn(tensor.shape, generator=generator), name.rsplit(".", 1)[-1]
    if leaf.startswith("x_"):
        return torch.rand(tensor.shape, generator=generator)
    if leaf in ("k_k", "k_a", "q_weight", "k_weight") or ".g_norm.weight" in name:
        return 1 + 0.3 * normal
    if leaf == "r_k":
        return 0.3 * normal
    if ".lora." in name and leaf == "bias":
        return normal
    if family_norm(name):
        return 1 + 0.3 * normal + (2 if tied and name == "model.norm.weight" else 0)
    return redrawn(name, tensor, generator, tied, {})


def family_norm(name):
    return name.endswith(("attn_norm.weight", "ffn_norm.weight")) or name == "model.norm.weight"


def logits_of(model, ids):
    return np.array(model(mx.array([ids])).astype(mx.float32))[0]


def load(model, tensors):
    """As mlx-lm loads a checkpoint: its own rewriting of names and shapes."""
    weights = {name: mx.array(tensor.float().numpy()) for name, tensor in tensors.items()}
    model.load_weights(list(model.sanitize(weights).items()), strict=False)


def greedy(model, ids):
    ids, chosen, first, margin = list(ids), [], None, math.inf
    for _ in range(NEW_TOKENS):
        logits = logits_of(model, ids)[-1]
        first = logits if first is None else first
        second, best = np.sort(logits)[-2:]
        margin = min(margin, float(best - second))
        chosen.append(int(logits.argmax()))
        ids.append(chosen[-1])
    return chosen, first, margin


def draw(family, config, seed):
    generator, model = torch.Generator().manual_seed(seed), build(family, config)
    tied = config["tie_word_embeddings"]
    tensors = {name: drawn(name, tensor, generator, tied) for name, tensor in stored(family, model).items()}
    head = next(name for name in ("lm_head.weight", "model.embeddings.weight") if name in tensors)
    load(model, tensors)
    prompts = [torch.randint(3, config["vocab_size"], (length,), generator=generator).tolist() for length in LENGTHS]
    tensors[head] = tensors[head] * float(3 / logits_of(model, prompts[-1]).std())
    tensors = {name: tensor.bfloat16().contiguous() for name, tensor in tensors.items()}
    load(model, tensors)
    return model, tensors, prompts


def check_alive(model, tensors, ids):
    base = logits_of(model, ids)
    for name, tensor in tensors.items():
        load(model, {**tensors, name: torch.zeros_like(tensor)})
        if not np.abs(logits_of(model, ids) - base).max() > DEAD_BELOW:
            raise SystemExit(f"{name} does not matter")
    load(model, tensors)


def make(family, out):
    config, folder = CONFIGS[family], Path(out) / f"{family}_other"
    for seed in range(5000, 5024):
        model, tensors, prompts = draw(family, config, seed)
        runs = [greedy(model, ids) for ids in prompts]
        if min(run[2] for run in runs) > LEAST_MARGIN and min(len(set(run[0])) for run in runs) >= NEW_TOKENS // 4:
            break
    else:
        raise SystemExit(f"{family}: no seed gives clear margins")
    check_alive(model, tensors, prompts[-1])
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "golden.json").write_text(json.dumps({
        "family": f"{family}_other", "model_type": family, "seed": seed, "storage": "bfloat16", "notes": [],
        "reference": f"mlx-lm {version('mlx-lm')} with what mlx_other_choices.py puts in, float32 CPU",
        "prompts": [{"ids": ids, "last_logits": [float(str(x)) for x in first], "greedy": chosen,
                     "min_margin": float(f"{margin:.6g}")} for ids, (chosen, first, margin) in zip(prompts, runs)]}))
    print(f"{family}_other: margin {min(run[2] for run in runs):.4f}, seed {seed}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", default=list(CONFIGS))
    parser.add_argument("--out", default=Path(__file__).resolve().parent.parent)
    given = parser.parse_args()
    mx.set_default_device(mx.cpu)
    for family in given.families:
        make(family, given.out)


main()
