#!/usr/bin/env python3
"""Golden cases made with transformers.

    transformers_case.py CASE...                       cases of transformers_cases.py, by name
    transformers_case.py NAME --config config.json     a case from any configuration that transformers reads
    (--out FOLDER: where to; tests/goldens unless given)

Each case is a small random model in the hub's layout and the reference's answers to four prompts, as
tests/goldens/README.md describes. The truth is a full recompute in float32 without a cache, on one thread,
with eager attention and eager experts. Needs torch and transformers 5; the tests need neither.
"""

import argparse
import copy
import json
import math
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from case_weights import redraw, scale_logits
from hub_spelling import older_spelling, repair_names
from transformers_cases import CASES

LEAST_MARGIN = 2e-3
DEAD_BELOW = 1e-2
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
# What a case may say besides "model_type" and "config" (transformers_cases.py explains the rest).
DEFAULTS = {"lengths": (1, 7, 19, 45), "new_tokens": 24, "store": "float32", "first_seed": 1, "gains": {}, "hub": {},
            "says": {}, "layers": True, "class": "AutoModelForCausalLM", "renames": {}, "inside": None}
NOT_TEXT = ("vision", "visual", "audio", "projector")  # in the names of a wrapper's other tensors


def set_eager_experts(model):
    for module in model.modules():
        config = getattr(module, "config", None)
        if hasattr(config, "_experts_implementation"):
            config._experts_implementation = "eager"


def class_of(case):
    """AutoModelForCausalLM unless the case names another class, which a wrapper of a text model has."""
    return getattr(transformers, case["class"])


def all_logits(model, ids):
    return model(input_ids=ids, use_cache=False).logits[0].float()


def build(case, seed):
    torch.manual_seed(seed)
    config = AutoConfig.for_model(case["model_type"], **{**IDS, **case["config"]})
    kind = class_of(case)
    from_config = getattr(kind, "from_config", None) or kind._from_config
    model = from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    set_eager_experts(model)
    redraw(model, seed, case["gains"])
    model.tie_weights()
    scale_logits(model, seed, all_logits)
    stored = getattr(torch, case["store"])
    for parameter in model.parameters():
        parameter.data.copy_(parameter.data.to(stored).float())
    return model


def reload(folder, case):
    model = class_of(case).from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    set_eager_experts(model)
    model.generation_config.eos_token_id = None
    return model


def fix_dynamic_rope(model, end, limit):
    """Gives the rotary tables the frequencies of `limit`, by transformers' own formula, where the answer ends
    beyond the trained length, and keeps transformers from changing them on the way."""
    rotary, trained = model.model.rotary_emb, model.config.max_position_embeddings
    frequencies, scaling = ROPE_INIT_FUNCTIONS["dynamic"](model.config, None, seq_len=limit if end > trained else None)
    rotary.rope_type, rotary.attention_scaling = "default", scaling
    rotary.inv_freq.data = frequencies.to(rotary.inv_freq.dtype)


def greedy(model, ids, count, least=None):
    """The ids, the logits of each step and the smallest gap of the two best; stops at a gap below `least`."""
    chosen, steps, margin = [], [], math.inf
    for _ in range(count):
        logits = all_logits(model, ids)[-1]
        first, second = torch.topk(logits, 2).values
        margin = min(margin, (first - second).item())
        if least is not None and margin < least:
            return None, None, margin
        chosen.append(int(logits.argmax()))
        steps.append(logits)
        ids = torch.cat([ids, torch.tensor([[chosen[-1]]])], 1)
    return chosen, torch.stack(steps), margin


def greedy_cached(model, ids, count):
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, use_cache=True,
                         max_new_tokens=count, min_new_tokens=count, eos_token_id=None, pad_token_id=0,
                         return_dict_in_generate=True, output_logits=True)
    return out.sequences[0, ids.shape[1]:].tolist(), torch.stack([x[0].float() for x in out.logits])


def prompts_of(case, vocab, seed):
    generator = torch.Generator().manual_seed(1000 + seed)
    return [torch.randint(3, vocab, (1, length), generator=generator) for length in case["lengths"]]


def floats(tensor):
    return [float(str(x)) for x in tensor.detach().to(torch.float32).numpy()]


def dead_tensors(model, ids):
    """Parameters that may be neutral without moving the logits: what they do would be untested."""
    base, dead = all_logits(model, ids), []
    for name, parameter in model.named_parameters():
        if any(part in name for part in NOT_TEXT):
            continue
        kept = parameter.data.clone()
        one = parameter.dim() == 1 and "norm" in name and "bias" not in name
        parameter.data.fill_(1.0 if one else 0.0)
        if not (all_logits(model, ids) - base).abs().max().item() > DEAD_BELOW:
            dead.append(name)
        parameter.data.copy_(kept)
    return dead


def write_json(path, value, indent=None):
    path.write_text(json.dumps(value, indent=indent) + ("\n" if indent else ""))


def write_configs(folder, case, model, ids):
    """config.hub.json, which transformers must read as the same model, and the name that the hub gives to both."""
    config = json.loads((folder / "config.json").read_text())
    older = older_spelling(config, case["hub"])
    if "text_config" in config:
        older["text_config"] = older_spelling(config["text_config"], {})
    with tempfile.TemporaryDirectory() as scratch:
        write_json(Path(scratch) / "config.json", older)
        os.symlink((folder / "model.safetensors").resolve(), Path(scratch) / "model.safetensors")
        difference = (all_logits(reload(scratch, case), ids) - all_logits(model, ids)).abs().max().item()
    if difference > 1e-5:
        raise SystemExit(f"the older spelling reads as another model: the logits differ by {difference:.1e}")
    if "named" in case:
        config["model_type"] = older["model_type"] = case["named"]
    write_json(folder / "config.json", config, indent=2)
    write_json(folder / "config.hub.json", older, indent=2)


def answers(case, model, prompts):
    """The reference's answers; how far its cache and float64 are from them; the smallest margin."""
    found = {"prompts": [], "cached_equals_full": True, "cached_max_abs_diff": 0.0, "f64_max_abs_diff": 0.0}
    exact, count = copy.deepcopy(model).double(), case["new_tokens"]
    for ids in prompts:
        for each in (model, exact) if "served_limit" in case else ():
            fix_dynamic_rope(each, ids.shape[1] + count, case["served_limit"])
        chosen, steps, margin = greedy(model, ids, count)
        cached, logits = greedy_cached(model, ids, count)
        difference = (logits - steps).abs().max().item()
        found["cached_equals_full"] &= cached == chosen and difference < 1e-3
        found["cached_max_abs_diff"] = max(found["cached_max_abs_diff"], difference)
        whole = torch.cat([ids, torch.tensor([chosen])], 1)
        noise = (all_logits(model, whole).double() - exact(input_ids=whole, use_cache=False).logits[0].double()).abs()
        found["f64_max_abs_diff"] = max(found["f64_max_abs_diff"], noise.max().item())
        found["prompts"].append({"ids": ids[0].tolist(), "last_logits": floats(steps[0]), "greedy": chosen,
                                 "min_margin": float(f"{margin:.6g}")})
    return found


def clear_models(case):
    """Models that answer every prompt with clear margins and do not fall into a loop."""
    distinct = case["new_tokens"] // 4
    for seed in range(case["first_seed"], case["first_seed"] + 2400, 101):
        model = build(case, seed)
        prompts = prompts_of(case, model.config.get_text_config().vocab_size, seed)
        runs = []
        for ids in prompts:
            if "served_limit" in case:
                fix_dynamic_rope(model, ids.shape[1] + case["new_tokens"], case["served_limit"])
            runs.append(greedy(model, ids, case["new_tokens"], LEAST_MARGIN * 1.2)[0])
            if runs[-1] is None:
                break
        if all(runs) and min(len(set(run)) for run in runs) >= distinct:
            yield seed, model, prompts
    raise SystemExit("no seed gives clear margins")


def write_layers(folder, case, model, ids):
    if "served_limit" in case:
        fix_dynamic_rope(model, ids.shape[1] + case["new_tokens"], case["served_limit"])
    states = model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states
    write_json(folder / "layers.json", {"prompt": 1, "what": "hidden_states[i] of the last token: the embeddings, then "
                                        "after each layer; the last entry is after the final norm",
                                        "hidden_states": [floats(state[0, -1]) for state in states]})


def save(folder, case, model):
    shutil.rmtree(folder, ignore_errors=True)
    model.to(getattr(torch, case["store"])).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    repair_names(folder / "model.safetensors", model.config)
    edit_tensors(folder / "model.safetensors", lambda name: case["renames"].get(name, name))
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**config, **case["says"]}, indent=2)
    return reload(folder, case)


def edit_tensors(path, renamed):
    """Leaves the text model's tensors, by their new names."""
    tensors = {renamed(name): tensor for name, tensor in load_file(path).items()
               if not any(part in name for part in NOT_TEXT)}
    save_file(tensors, path, metadata={"format": "pt"})


def put_inside(folder, outer):
    """Puts both configs and all tensors one level down: {"config": key, "prefix": of the tensors, "says": beside it}."""
    for path in folder.glob("config*.json"):
        write_json(path, {**outer["says"], outer["config"]: json.loads(path.read_text())}, indent=2)
    edit_tensors(folder / "model.safetensors", lambda name: outer["prefix"] + name)


def make(name, case, out):
    case, folder = {**DEFAULTS, **case}, Path(out) / name
    for seed, model, prompts in clear_models(case):
        model = save(folder, case, model)
        found = answers(case, model, prompts)
        least = min(prompt["min_margin"] for prompt in found["prompts"])
        if found["f64_max_abs_diff"] * 25 <= least:  # else float32 noise is too near the margin
            break
    if dead := dead_tensors(model, prompts[3]):
        raise SystemExit(f"{name}: these tensors do not matter: {dead}")
    reference = f"transformers {transformers.__version__}, torch {torch.__version__}, float32 CPU eager"
    write_json(folder / "golden.json", {"family": name, "model_type": case.get("named", case["model_type"]),
                                        "reference": reference, "seed": seed, "storage": case["store"], "notes": [],
                                        **found})
    if case["layers"]:
        write_layers(folder, case, model, prompts[1])
    write_configs(folder, case, reload(folder, case), prompts[3])
    if case["inside"]:
        put_inside(folder, case["inside"])
    size = (folder / "model.safetensors").stat().st_size // 1024
    print(f"{name}: {size} KiB, margin {least:.4f}, f64 {found['f64_max_abs_diff']:.0e}, "
          f"cached==full {found['cached_equals_full']}", flush=True)


def case_of(path):
    """A case from a config.json; its keys are the arguments of the family's configuration class."""
    config = json.loads(Path(path).read_text())
    for key in ("architectures", "dtype", "torch_dtype", "transformers_version"):
        config.pop(key, None)
    return {"model_type": config.pop("model_type"), "config": config}


def prepare():
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)


def make_variants(description, suffix, families, case):
    """The main program of a script: FAMILY + suffix for those asked for, of case(FAMILY, FAMILY/config.json)."""
    goldens = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("families", nargs="*", help="all unless given: " + ", ".join(families))
    parser.add_argument("--out", default=goldens)
    given = parser.parse_args()
    prepare()
    for name in given.families or families:
        make(name + suffix, case(name, json.loads((goldens / name / "config.json").read_text())), given.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--config", help="make one case, of that name, from this config.json")
    parser.add_argument("--out", default=Path(__file__).resolve().parent.parent)
    given = parser.parse_args()
    prepare()
    if given.config:
        return make(given.cases[0], case_of(given.config), given.out)
    if unknown := sorted(set(given.cases) - set(CASES)):
        parser.error(f"expected cases of transformers_cases.py or --config, got {', '.join(unknown)}")
    for name in given.cases:
        make(name, CASES[name], given.out)


if __name__ == "__main__":
    main()
