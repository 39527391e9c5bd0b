"""Writes goldens/mlx/CASE: the golden CASE as mlx-lm converts it, in float16.

For each family whose tensors mlx-lm rewrites there is a folder; families whose tensors it leaves as
they are stand in goldens/mlx/unchanged.json, which this script writes after comparing every tensor.
checkpoint_test reads the folders and compares each tensor with the one in goldens/CASE.
Needs mlx (CPU) and mlx-lm.
"""
import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import mlx_lm.utils as mlx_utils
import numpy as np
from mlx.utils import tree_flatten

GOLDENS = Path(__file__).parents[1]
OUT = GOLDENS / "mlx"
CASES = """cohere cohere2 deepseek_v3 exaone4 falcon_h1 falcon_mamba gemma gemma2 gemma3_text glm4
gpt_oss_mxfp4 granite granitemoehybrid internlm3 jamba kimi_linear lfm2 llama mamba mamba2 minicpm3
mistral mixtral nemotron_h olmo2 olmo3 ernie4_5 olmo_hybrid olmoe phi3 plamo2 qwen2 qwen2_moe qwen3 qwen3_5
qwen3_moe qwen3_next recurrent_gemma rwkv7 seed_oss smollm3 stablelm starcoder2""".split()
# Keys that mlx-lm requires and transformers leaves to its defaults or derives.
EXTRA = {
    "lfm2": lambda c: {"block_dim": c["hidden_size"]},
    "mamba2": lambda c: {"intermediate_size": c["num_heads"] * c["head_dim"]},
}
# mlx-lm refuses these cases' head sizes. It has no rewriting for the families: the file it would
# write holds the same tensors.
REFUSED = {"cohere2", "internlm3"}


def completed(case, config):
    extra = {"rope_scaling": None}
    rope = config.get("rope_parameters") or {}
    if "rope_theta" in rope:
        extra["rope_theta"] = rope["rope_theta"]
    if "rope_theta" not in config and "rope_theta" not in extra:
        extra["rope_theta"] = 10000.0
    if "num_attention_heads" in config and "head_dim" not in config:
        extra["head_dim"] = config["hidden_size"] // config["num_attention_heads"]
    extra = {key: value for key, value in extra.items() if key not in config}
    return extra | EXTRA.get(case, lambda c: {})(config | extra)


def source_of(case, folder):
    """The golden under the names that its hub checkpoint has today."""
    hub = GOLDENS / case / "config.hub.json"
    shutil.copy(hub if hub.exists() else GOLDENS / case / "config.json", folder / "config.json")
    weights = mx.load(str(GOLDENS / case / "model.safetensors"))
    for old, new in (("attention_layer_norm", "input_layernorm"),
                     ("feedforward_layer_norm", "post_attention_layernorm")):
        weights = {name.replace(old, new): value for name, value in weights.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "pt"})
    return weights


def convert(case):
    """Returns whether mlx-lm rewrote anything."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary)
        before = source_of(case, source)
        config = json.loads((source / "config.json").read_text())
        extra = completed(case, config)
        if case in REFUSED:
            module, arguments = mlx_utils._get_classes(config)
            assert not hasattr(module, "sanitize") or case == "internlm3"  # drops inv_freq only
            return False
        model, written = mlx_utils.load_model(source, lazy=False, model_config=dict(extra))
        after = dict(tree_flatten(model.parameters()))
        same = set(before) == set(after) and all(
            np.array_equal(np.array(before[k].astype(mx.float32)),
                           np.array(after[k].astype(mx.float32))) for k in before)
        if same:
            return False
        model.set_dtype(mx.float16)
        folder = OUT / case
        folder.mkdir(parents=True)
        mlx_utils.save_model(folder, model, donate_model=False)
        mlx_utils.save_config(dict(written), folder / "config.json")
        (folder / "model.safetensors.index.json").unlink(missing_ok=True)
        (folder / "model.safetensors").chmod(0o644)
        return True


mx.set_default_device(mx.cpu)
shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir()
unchanged = [case for case in CASES if not convert(case)]
(OUT / "unchanged.json").write_text(
    json.dumps({"mlx-lm": version("mlx-lm"), "cases": unchanged}, indent=1) + "\n")
