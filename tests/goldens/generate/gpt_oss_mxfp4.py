"""Writes goldens/gpt_oss_mxfp4: the case gpt_oss with its experts rounded to MXFP4.

Usage: gpt_oss_mxfp4.py FOLDER_OF_GPT_OSS. Needs numpy, safetensors, torch, transformers. The numpy
dequantisation here must equal transformers' own; logits come from transformers on its result.
"""
import json
import shutil
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers.integrations.mxfp4 import _convert_moe_packed_tensors

OUT = Path(__file__).parents[1] / "gpt_oss_mxfp4"
E2M1 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6], np.float32)
KEPT = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]


def quantise(weight):
    """[E, in, out] -> blocks [E, out, in/32, 16], scales [E, out, in/32]."""
    experts, columns, rows = weight.shape
    groups = weight.transpose(0, 2, 1).reshape(experts, rows, columns // 32, 32)
    exponent = np.floor(np.log2(np.maximum(np.abs(groups).max(-1), 1e-30))).astype(int) - 2
    scaled = groups / np.exp2(exponent)[..., None].astype(np.float32)
    codes = np.abs(scaled[..., None] - E2M1).argmin(-1).astype(np.uint8)
    codes[(codes == 0) & (scaled < 0)] = 8
    return codes[..., 0::2] | codes[..., 1::2] << 4, (exponent + 127).astype(np.uint8)


def dequantise(blocks, scales):
    codes = np.stack([blocks & 15, blocks >> 4], -1).reshape(*blocks.shape[:-1], 32)
    values = E2M1[codes] * np.exp2(scales.astype(np.float32) - 127)[..., None]
    values = values.reshape(*blocks.shape[:2], -1).transpose(0, 2, 1)
    for dtype in (torch.float32, torch.bfloat16):
        theirs = _convert_moe_packed_tensors(
            torch.from_numpy(blocks), torch.from_numpy(scales), dtype=dtype).float().numpy()
        assert np.array_equal(theirs, values)
    return np.ascontiguousarray(values)


def answer(model, ids):
    def last(sequence):
        with torch.no_grad():
            return model(torch.tensor([sequence]), use_cache=False).logits[0, -1].numpy()

    sequence, margins = list(ids), []
    for _ in range(24):
        step = last(sequence)
        top = np.sort(step)
        margins.append(float(top[-1] - top[-2]))
        sequence.append(int(step.argmax()))
    return {"ids": ids, "last_logits": [float(str(x)) for x in last(ids)],
            "greedy": sequence[len(ids):], "min_margin": min(margins)}


def main(source):
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    stored, plain = {}, {}
    for name, weight in load_file(source / "model.safetensors").items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            planes = quantise(weight)
            stored[name + "_blocks"], stored[name + "_scales"] = planes
            plain[name] = dequantise(*planes)
        else:
            stored[name] = plain[name] = weight
    save_file(stored, OUT / "model.safetensors", {"format": "pt"})
    (OUT / "model.safetensors").chmod(0o644)
    for name in ("config.json", "config.hub.json"):
        config = json.loads((source / name).read_text())
        config["quantization_config"] = {"modules_to_not_convert": KEPT, "quant_method": "mxfp4"}
        (OUT / name).write_text(json.dumps(config, indent=2))
    with tempfile.TemporaryDirectory() as temporary:
        save_file(plain, Path(temporary) / "model.safetensors", {"format": "pt"})
        shutil.copy(source / "config.json", temporary)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            temporary, dtype=torch.float32, attn_implementation="eager",
            experts_implementation="eager")
    golden = json.loads((source / "golden.json").read_text())
    (OUT / "golden.json").write_text(json.dumps({
        "family": "gpt_oss", "model_type": "gpt_oss",
        "reference": f"experts of gpt_oss rounded to MXFP4; transformers "
                     f"{transformers.__version__}, torch {torch.__version__}, float32 CPU eager, "
                     "full recompute from the dequantised weights",
        "seed": golden["seed"], "storage": "mxfp4 experts, float32 elsewhere", "notes": [],
        "prompts": [answer(model, prompt["ids"]) for prompt in golden["prompts"]]}))
    rows = [f'  {json.dumps(k)}: {json.dumps({"shape": v.shape, "crc32": zlib.crc32(v.tobytes())})}'
            for k, v in sorted(plain.items())]
    (OUT / "tensors.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


main(Path(sys.argv[1]))
