#!/usr/bin/env python3
"""FAMILY_bf16_computed/: answers of a reference that computes in bfloat16 throughout, activations and all.

    bf16_computed.py [FAMILY ...] [--out FOLDER]

Beside them stands "f32_distance": how far the same weights' float32 logits are from these at most, over all steps.
Of the prompts drawn those count that are as far from float32 as is usual or up to twice that, and of each length the one with
the clearest answer, whose margin must be four times the distance: no other order of rounding whose logits lie within
twice the distance may choose another token.
"""
import copy

import torch
import transformers
import transformers_case as maker

FAMILIES = {
    "llama": {"num_hidden_layers": 2, "hidden_size": 24, "intermediate_size": 28, "num_attention_heads": 4, "head_dim": 8},
    "mamba2": {"num_hidden_layers": 2, "hidden_size": 24, "num_heads": 6, "head_dim": 8, "expand": 2, "n_groups": 2},
}
LENGTHS, NEW_TOKENS, VOCAB, TRIES = (1, 5, 12, 20), 4, 101, 120
NOT_ARGUMENTS = ("architectures", "dtype", "transformers_version", "time_step_limit", "model_type")


def case(name, config):
    kept = {key: value for key, value in config.items() if key not in NOT_ARGUMENTS and value is not None}
    return {**maker.DEFAULTS, "model_type": config["model_type"], "config": {**kept, "vocab_size": VOCAB, **FAMILIES[name]},
            "store": "bfloat16"}


def distance(model, exact, ids, chosen):
    whole = torch.cat([ids, torch.tensor([chosen])], 1)
    at = ids.shape[1] - 1
    return (maker.all_logits(model, whole) - maker.all_logits(exact, whole))[at:].abs().max().item()


def drawn(model, exact, length, generator):
    found = []
    for _ in range(TRIES):
        ids = torch.randint(3, VOCAB, (1, length), generator=generator)
        chosen, steps, margin = maker.greedy(model, ids, NEW_TOKENS)
        found.append((margin, distance(model, exact, ids, chosen), ids, chosen, steps[0]))
    return found


def make(name, case, out):
    folder = maker.Path(out) / name
    exact = maker.save(folder, case, maker.build(case, seed=1))
    model = copy.deepcopy(exact).bfloat16()
    generator = torch.Generator().manual_seed(7)
    found = [drawn(model, exact, length, generator) for length in LENGTHS]
    usual = sorted(one[1] for each in found for one in each)[len(LENGTHS) * TRIES // 2]
    best = [max((one for one in each if usual <= one[1] <= 2 * usual), key=lambda one: one[0]) for each in found]
    furthest, least = max(one[1] for one in best), min(one[0] for one in best)
    print(f"{name}: margin {least:.3f}, distance {furthest:.3f}, usually {usual:.3f}", flush=True)
    if least < 4 * furthest:
        raise SystemExit("no clear margins")
    reference = f"transformers {transformers.__version__}, torch {torch.__version__}, bfloat16 CPU eager"
    prompts = [{"ids": ids[0].tolist(), "last_logits": maker.floats(first), "greedy": chosen,
                "min_margin": float(f"{margin:.6g}")} for margin, _, ids, chosen, first in best]
    maker.write_json(folder / "golden.json", {"family": name, "model_type": case["model_type"], "reference": reference,
                                              "seed": 1, "storage": "bfloat16", "compute": "bfloat16",
                                              "f32_distance": furthest, "notes": [], "prompts": prompts})


if __name__ == "__main__":
    maker.make = make
    maker.make_variants(__doc__, "_bf16_computed", list(FAMILIES), case)
