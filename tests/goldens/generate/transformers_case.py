#!/usr/bin/env python3
"""Golden cases made with transformers: transformers_case.py CASE... [--out FOLDER]

Each case is a small random model in the hub's layout and the reference's answers to four prompts, as
tests/goldens/README.md describes. The truth is a full recompute in float32 without a cache, on one thread,
with eager attention and eager experts. Needs torch and transformers 5; the tests need neither.
"""

import argparse
import copy
import json
import math
import os
import re
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

PROMPT_LENGTHS = (1, 7, 19, 45)
NEW_TOKENS = 24
LEAST_MARGIN = 2e-3
DEAD_BELOW = 1e-2
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}

# model_type, the configuration, and optionally: "named" (the model_type that the hub's config has where its code
# is another type's), "served_limit" (fixes dynamic NTK's base) and "hub" (keys that the older spelling has besides).
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
}


def log_uniform(generator, shape, low, high):
    return torch.exp(torch.rand(shape, generator=generator) * math.log(high / low) + math.log(low))


def inverse_softplus(x):
    return x + torch.log(-torch.expm1(-x))


FINAL_NORM = re.compile(r"^(model|backbone|transformer)\.(norm|norm_f|final_layernorm|embedding_norm|ln_f)\.weight$")
OUT = ("o_proj", "out_proj", "down_proj", "output_linear", "w2", "c_proj")
QK = ("q_proj", "k_proj", "qkv", "q_b_proj", "kv_b_proj")


def redrawn(name, tensor, generator, tied):
    """A value at which `tensor` matters, whatever the library initialises it to."""
    low, shape = name.lower(), tensor.shape
    leaf = low.rsplit(".", 1)[-1]
    normal = torch.randn(shape, generator=generator)
    if leaf == "a_log":
        return torch.log(log_uniform(generator, shape, 0.05, 4.0))
    if leaf == "dt_bias" or low.endswith("dt_proj.bias"):
        return inverse_softplus(log_uniform(generator, shape, 0.03, 1.0))
    if leaf == "d":
        return 1 + 0.5 * normal
    if "e_score_correction_bias" in low:  # from 0 up: masked groups as -inf or as 0 then choose the same experts
        return 0.4 * torch.rand(shape, generator=generator)
    if "conv" in low and leaf == "weight" and tensor.dim() >= 2:
        return normal * (1.1 / math.sqrt(shape[-1]))
    if tensor.dim() <= 1:
        if "bias" in leaf:
            return 0.3 * normal
        centre = tensor.float().mean().round()  # 0 for norms of the form 1 + w
        return centre + 0.3 * normal + (3.0 if tied and FINAL_NORM.match(low) else 0.0)
    if "embed" in low:
        return normal
    gain = 1.0
    if any(part in low for part in OUT):
        gain = 2.5 if tied else 1.4
    elif any(part in low for part in QK):
        gain = 1.5
    elif "router" in low or "gate.weight" in low:
        gain = 2.0
    return normal * (gain / math.sqrt(shape[-1]))


def redraw(model, seed):
    generator = torch.Generator().manual_seed(seed)
    tied = bool(model.config.get_text_config().tie_word_embeddings)
    biases = [(n, b) for n, b in model.named_buffers() if "e_score_correction_bias" in n]
    for name, tensor in list(model.named_parameters()) + biases:
        tensor.data.copy_(redrawn(name, tensor, generator, tied))


def set_eager_experts(model):
    for module in model.modules():
        config = getattr(module, "config", None)
        if hasattr(config, "_experts_implementation"):
            config._experts_implementation = "eager"


def last_logits(model, ids):
    return all_logits(model, ids)[-1]


def all_logits(model, ids):
    return model(input_ids=ids, use_cache=False).logits[0].float()


def scale_logits(model, seed, deviation=3.0):
    """Scales the head, which is the embedding where they are tied, until the logits spread by `deviation`."""
    text = model.config.get_text_config()
    multiplier = float(getattr(text, "embedding_multiplier", 1.0) or 1.0)
    model.get_input_embeddings().weight.data.div_(max(multiplier, 1.0))
    generator = torch.Generator().manual_seed(seed + 77)
    ids = torch.randint(3, text.vocab_size, (1, 24), generator=generator)
    for _ in range(4):
        ratio = deviation / all_logits(model, ids).std().item()
        if abs(ratio - 1) < 0.02:
            break
        model.get_output_embeddings().weight.data.mul_(float(np.clip(ratio, 0.05, 20)))


def build(case, seed):
    torch.manual_seed(seed)
    config = AutoConfig.for_model(case["model_type"], **{**IDS, **case["config"]})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    set_eager_experts(model)
    redraw(model, seed)
    model.tie_weights()
    scale_logits(model, seed)
    return model


def reload(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    set_eager_experts(model)
    model.generation_config.eos_token_id = None
    return model


def fix_dynamic_rope(model, ids, limit):
    """Gives the rotary tables the frequencies of `limit`, by transformers' own formula, where the answer ends
    beyond the trained length, and keeps transformers from changing them on the way."""
    rotary, trained = model.model.rotary_emb, model.config.max_position_embeddings
    length = limit if ids.shape[1] + NEW_TOKENS > trained else None
    frequencies, scaling = ROPE_INIT_FUNCTIONS["dynamic"](model.config, None, seq_len=length)
    rotary.rope_type, rotary.attention_scaling = "default", scaling
    rotary.inv_freq.data = frequencies.to(rotary.inv_freq.dtype)


def greedy(model, ids, least=None):
    """The ids, the logits of each step and the smallest gap of the two best; stops at a gap below `least`."""
    chosen, steps, margin = [], [], math.inf
    for _ in range(NEW_TOKENS):
        logits = last_logits(model, ids)
        first, second = torch.topk(logits, 2).values
        margin = min(margin, (first - second).item())
        if least is not None and margin < least:
            return None, None, margin
        chosen.append(int(logits.argmax()))
        steps.append(logits)
        ids = torch.cat([ids, torch.tensor([[chosen[-1]]])], 1)
    return chosen, torch.stack(steps), margin


def greedy_cached(model, ids):
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, use_cache=True,
                         max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, eos_token_id=None, pad_token_id=0,
                         return_dict_in_generate=True, output_logits=True)
    return out.sequences[0, ids.shape[1]:].tolist(), torch.stack([x[0].float() for x in out.logits])


def prompts_of(vocab, seed):
    generator = torch.Generator().manual_seed(1000 + seed)
    return [torch.randint(3, vocab, (1, n), generator=generator) for n in PROMPT_LENGTHS]


def floats(tensor):
    return [float(str(x)) for x in tensor.detach().to(torch.float32).numpy()]


def dead_tensors(model, ids):
    """Parameters that may be neutral without moving the logits: what they do would be untested."""
    base, dead = all_logits(model, ids), []
    for name, parameter in model.named_parameters():
        kept = parameter.data.clone()
        one = parameter.dim() == 1 and "norm" in name and "bias" not in name
        parameter.data.fill_(1.0 if one else 0.0)
        if not (all_logits(model, ids) - base).abs().max().item() > DEAD_BELOW:
            dead.append(name)
        parameter.data.copy_(kept)
    return dead


def older_spelling(config, case):
    """The configuration as checkpoints on the hub have it: rope_theta, rope_scaling, torch_dtype and such."""
    config = json.loads(json.dumps(config))
    config["torch_dtype"] = config.pop("dtype", "float32")
    config["transformers_version"] = "4.50.0"
    rope = dict(config.pop("rope_parameters"))
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else {
        ("type" if key == "rope_type" else key): value for key, value in rope.items()}
    for key in ("num_local_experts", "num_experts"):
        if case["model_type"].startswith("deepseek") and key in config:
            config["n_routed_experts"] = config.pop(key)
    if case["model_type"] == "granitemoehybrid":
        config["layer_types"] = [{"linear_attention": "mamba", "full_attention": "attention"}.get(t, t)
                                 for t in config["layer_types"]]
    config.update(case.get("hub", {}))
    return config


def write_json(path, value, indent=None):
    path.write_text(json.dumps(value, indent=indent) + ("\n" if indent else ""))


def write_configs(folder, case, model, ids):
    """config.hub.json, which transformers must read as the same model, and the name that the hub gives to both."""
    config = json.loads((folder / "config.json").read_text())
    older = older_spelling(config, case)
    with tempfile.TemporaryDirectory() as scratch:
        write_json(Path(scratch) / "config.json", older)
        os.symlink((folder / "model.safetensors").resolve(), Path(scratch) / "model.safetensors")
        difference = (all_logits(reload(scratch), ids) - all_logits(model, ids)).abs().max().item()
    if difference > 1e-5:
        raise SystemExit(f"the older spelling reads as another model: the logits differ by {difference:.1e}")
    if "named" in case:
        config["model_type"] = older["model_type"] = case["named"]
    write_json(folder / "config.json", config, indent=2)
    write_json(folder / "config.hub.json", older, indent=2)


def answers(model, prompts, limit):
    """The reference's answers; how far its cache and float64 are from them; the smallest margin."""
    found = {"prompts": [], "cached_equals_full": True, "cached_max_abs_diff": 0.0, "f64_max_abs_diff": 0.0}
    exact = copy.deepcopy(model).double()
    for ids in prompts:
        for each in (model, exact) if limit else ():
            fix_dynamic_rope(each, ids, limit)
        chosen, steps, margin = greedy(model, ids)
        cached, logits = greedy_cached(model, ids)
        difference = (logits - steps).abs().max().item()
        found["cached_equals_full"] &= cached == chosen and difference < 1e-3
        found["cached_max_abs_diff"] = max(found["cached_max_abs_diff"], difference)
        whole = torch.cat([ids, torch.tensor([chosen])], 1)
        noise = (all_logits(model, whole).double() - exact(input_ids=whole, use_cache=False).logits[0].double()).abs()
        found["f64_max_abs_diff"] = max(found["f64_max_abs_diff"], noise.max().item())
        found["prompts"].append({"ids": ids[0].tolist(), "last_logits": floats(steps[0]), "greedy": chosen,
                                 "min_margin": float(f"{margin:.6g}")})
    return found


def choose_seed(case):
    """A model that answers every prompt with clear margins and does not fall into a loop."""
    for seed in range(1, 2400, 101):
        model = build(case, seed)
        prompts = prompts_of(model.config.get_text_config().vocab_size, seed)
        runs = []
        for ids in prompts:
            if "served_limit" in case:
                fix_dynamic_rope(model, ids, case["served_limit"])
            runs.append(greedy(model, ids, LEAST_MARGIN * 1.2)[0])
            if runs[-1] is None:
                break
        if all(runs) and min(len(set(run)) for run in runs) >= 6:
            return seed, model, prompts
    raise SystemExit("no seed gives clear margins")


def make(name, out):
    case = CASES[name]
    folder = Path(out) / name
    seed, model, prompts = choose_seed(case)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = reload(folder)
    found = answers(model, prompts, case.get("served_limit"))
    least = min(prompt["min_margin"] for prompt in found["prompts"])
    if found["f64_max_abs_diff"] * 25 > least:
        raise SystemExit(f"{name}: float32 noise {found['f64_max_abs_diff']:.1e} is too near the margin {least:.1e}")
    if dead := dead_tensors(model, prompts[3]):
        raise SystemExit(f"{name}: these tensors do not matter: {dead}")
    reference = f"transformers {transformers.__version__}, torch {torch.__version__}, float32 CPU eager"
    write_json(folder / "golden.json", {"family": name, "model_type": case.get("named", case["model_type"]),
                                        "reference": reference, "seed": seed, "storage": "float32", "notes": [],
                                        **found})
    if "served_limit" in case:
        fix_dynamic_rope(model, prompts[1], case["served_limit"])
    states = model(input_ids=prompts[1], use_cache=False, output_hidden_states=True).hidden_states
    write_json(folder / "layers.json", {"prompt": 1, "what": "hidden_states[i] of the last token: the embeddings, then "
                                        "after each layer; the last entry is after the final norm",
                                        "hidden_states": [floats(state[0, -1]) for state in states]})
    write_configs(folder, case, reload(folder), prompts[3])
    size = (folder / "model.safetensors").stat().st_size // 1024
    print(f"{name}: {size} KiB, margin {least:.4f}, f64 {found['f64_max_abs_diff']:.0e}, "
          f"cached==full {found['cached_equals_full']}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="+", choices=sorted(CASES))
    parser.add_argument("--out", default=Path(__file__).resolve().parent.parent)
    given = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for name in given.cases:
        make(name, given.out)


if __name__ == "__main__":
    main()
