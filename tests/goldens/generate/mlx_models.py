"""Writes goldens/mlx_*: tiny seeded models quantised by mlx-lm, with reference logits.

Needs mlx (CPU), mlx-lm, torch, transformers, safetensors. Logits and greedy ids come from
transformers in float32 on the weights that mlx dequantises; mlx-lm must agree within 1e-4.
"""
import json
import re
import shutil
import tempfile
import zlib
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import mlx_lm.utils as mlx_utils
import numpy as np
import torch
import transformers
from mlx.utils import tree_flatten
from safetensors.numpy import save_file

OUT = Path(__file__).parents[1]
COMMON = dict(vocab_size=256, max_position_embeddings=256, tie_word_embeddings=False,
              bos_token_id=1, eos_token_id=2, pad_token_id=0, num_hidden_layers=2,
              num_attention_heads=4, num_key_value_heads=2)
LLAMA = dict(hidden_size=128, intermediate_size=192, head_dim=32)
QWEN3_MOE = dict(hidden_size=64, intermediate_size=96, moe_intermediate_size=64, num_experts=5,
                 num_experts_per_tok=2, decoder_sparse_step=1, norm_topk_prob=True,
                 mlp_only_layers=[], head_dim=32)
MIXTRAL = dict(hidden_size=64, intermediate_size=96, num_local_experts=3, num_experts_per_tok=2,
               sliding_window=None, head_dim=16)
# folder, model_type, configuration class, sizes, bits, group size, dtype, seed
CASES = [
    ("mlx_llama_4bit_g32", "llama", "LlamaConfig", LLAMA, 4, 32, "float16", 103),
    ("mlx_llama_8bit_g64", "llama", "LlamaConfig", LLAMA, 8, 64, "bfloat16", 101),
    ("mlx_qwen3_moe_4bit_g32", "qwen3_moe", "Qwen3MoeConfig", QWEN3_MOE, 4, 32, "bfloat16", 106),
    ("mlx_mixtral_6bit_g32", "mixtral", "MixtralConfig", MIXTRAL, 6, 32, "float32", 100),
]


def as_f32(array):
    return np.array(array.astype(mx.float32))


def random_model(config, seed):
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model = model.float()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.copy_(1 + 0.2 * torch.randn_like(p))
            elif "embed" in name:
                p.copy_(torch.randn_like(p))
            else:
                p.copy_(torch.randn_like(p) * 1.3 / p.shape[-1] ** 0.5)
    return model


def dequantised(model):
    """Every weight as float32 under mlx-lm's names."""
    values = {}
    for name, module in model.named_modules():
        if hasattr(module, "bits") and "scales" in module:
            values[name + ".weight"] = mx.dequantize(
                module["weight"], module["scales"], module["biases"], module.group_size, module.bits)
    return {name: as_f32(values.get(name, value))
            for name, value in tree_flatten(model.parameters())
            if not name.endswith((".scales", ".biases"))}


def hugging_face_names(weights):
    out = {}
    for name, value in weights.items():
        match = re.match(r"(.*)\.switch_mlp\.(\w+)_proj\.weight$", name)
        if not match:
            out[name] = value
            continue
        mixtral = {"gate": "w1", "down": "w2", "up": "w3"}
        leaf = mixtral[match[2]] if "block_sparse_moe" in name else match[2] + "_proj"
        for e, expert in enumerate(value):
            out[f"{match[1]}.experts.{e}.{leaf}.weight"] = expert
    return {name: np.ascontiguousarray(value) for name, value in out.items()}


def prompts(model, mlx_model, seed):
    rng = np.random.default_rng(seed)

    def last(ids):
        with torch.no_grad():
            return model(torch.tensor([ids]), use_cache=False).logits[0, -1].numpy()

    for length in (1, 7, 19, 45):
        ids = [int(i) for i in rng.integers(3, 256, length)]
        logits, sequence, margins = last(ids), list(ids), []
        assert np.abs(np.array(mlx_model(mx.array([ids]))[0, -1]) - logits).max() < 1e-4
        for _ in range(24):
            step = last(sequence)
            top = np.sort(step)
            margins.append(float(top[-1] - top[-2]))
            sequence.append(int(step.argmax()))
        assert min(margins) > 4e-3, "choose another seed"
        yield {"ids": ids, "last_logits": [float(str(x)) for x in logits],
               "greedy": sequence[length:], "min_margin": min(margins)}


def make(folder, model_type, config_class, sizes, bits, group, dtype, seed):
    config = getattr(transformers, config_class)(**COMMON, **sizes, dtype=dtype)
    with tempfile.TemporaryDirectory() as temporary:
        source, plain = Path(temporary) / "source", Path(temporary) / "plain"
        plain.mkdir()
        random_model(config, seed).to(getattr(torch, dtype)).save_pretrained(source)
        written = json.loads((source / "config.json").read_text())
        # What mlx-lm looks for where transformers 5 does not write it.
        extra = {"rope_theta": written["rope_parameters"]["rope_theta"]}
        if "num_experts" in sizes:
            extra["num_experts"] = sizes["num_experts"]

        model, config = mlx_utils.load_model(source, lazy=False, model_config=dict(extra))
        model, config = mlx_utils.quantize_model(
            model, config, group, bits, quant_predicate=getattr(model, "quant_predicate", None))
        out = OUT / folder
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        mlx_utils.save_model(out, model, donate_model=False)
        mlx_utils.save_config(config, out / "config.json")
        (out / "model.safetensors.index.json").unlink(missing_ok=True)
        (out / "model.safetensors").chmod(0o644)

        weights = dequantised(mlx_utils.load_model(out, lazy=False)[0])
        mlx_model, _ = mlx_utils.load_model(source, lazy=False, model_config=dict(extra))
        mlx_model.load_weights([(k, mx.array(v)) for k, v in weights.items()], strict=True)
        weights = hugging_face_names(weights)
        save_file(weights, plain / "model.safetensors", {"format": "pt"})
        shutil.copy(source / "config.json", plain)
        reference = transformers.AutoModelForCausalLM.from_pretrained(
            plain, dtype=torch.float32, attn_implementation="eager")
    golden = {
        "family": model_type, "model_type": model_type,
        "reference": f"mlx-lm {version('mlx-lm')} and mlx {version('mlx')} quantise and dequantise "
                     f"({dtype}); transformers {transformers.__version__}, torch "
                     f"{torch.__version__}, float32 CPU eager, full recompute",
        "seed": seed, "storage": f"mlx affine, {bits} bits, group {group}, {dtype}", "notes": [],
        "prompts": list(prompts(reference, mlx_model, seed))}
    (out / "golden.json").write_text(json.dumps(golden))
    rows = [f'  {json.dumps(k)}: {json.dumps({"shape": v.shape, "crc32": zlib.crc32(v.tobytes())})}'
            for k, v in sorted(weights.items())]
    (out / "tensors.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


mx.set_default_device(mx.cpu)
torch.set_num_threads(1)
for case in CASES:
    make(*case)
