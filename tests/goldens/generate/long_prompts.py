#!/usr/bin/env python3
"""FAMILY_long/: tiny models on prompts beyond 256 tokens: another context bucket, another prefill chunk, a real window.

    long_prompts.py OUT GOLDENS [FAMILY ...]    (needs make_case.py on PYTHONPATH)
"""
import json
import sys
from pathlib import Path
import make_case as mc
LONG = {
    "mistral": {"sliding_window": 140, "num_hidden_layers": 1, "max_position_embeddings": 1024},
    "mamba2": {"chunk_size": 64, "num_hidden_layers": 2, "hidden_size": 32, "num_heads": 4},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"], "num_hidden_layers": 2},
    "deepseek_v3": {"num_hidden_layers": 2, "max_position_embeddings": 1024},
}
mc.N_NEW = 12
mc.OUT = sys.argv[1]
source = Path(sys.argv[2])
for name in sys.argv[3:] or LONG:
    c = json.loads((source / name / "config.json").read_text())
    kind = c.pop("model_type")
    kept = {k: v for k, v in c.items() if k not in ("architectures", "dtype", "transformers_version", "time_step_limit") and v is not None}
    spec = mc.case(kind, {"store": "bfloat16", "lens": (270, 3, 9, 530)}, **{**kept, "vocab_size": 160, **LONG[name]})
    rec = mc.make_case(name + "_long", "open", spec, sys.argv[1], 7000)
    print(name, rec["size"], "margin", rec["min_margin"], "f64", rec["f64_diff"], "dead", rec["dead"], rec["notes"], flush=True)
