"""Writes tests/checkpoint/mlx_affine: every bit width, group size and scale type, packed by mlx.

Needs mlx (CPU), numpy. tensors.json holds the CRC-32 of mlx.core.dequantize's output as float32.
"""
import json
import zlib
from pathlib import Path

import mlx.core as mx
import numpy as np

OUT = Path(__file__).parents[2] / "checkpoint" / "mlx_affine"
TYPES = {"f32": mx.float32, "f16": mx.float16, "bf16": mx.bfloat16}


def main():
    mx.set_default_device(mx.cpu)
    mx.random.seed(7)
    tensors, expected, settings = {}, {}, {"group_size": 64, "bits": 4, "mode": "affine"}
    for bits in (2, 3, 4, 5, 6, 8):
        for group in (32, 64, 128):
            for spelled, dtype in TYPES.items():
                stacked = bits == 4 and spelled == "bf16"  # experts: [E, out, in]
                shape = (2, 3, 256) if stacked else (3, 256)
                module = f"b{bits}.g{group}.{spelled}"
                weight = (mx.random.normal(shape) * 3).astype(dtype)
                planes = mx.quantize(weight, group_size=group, bits=bits)
                for part, plane in zip(("weight", "scales", "biases"), planes):
                    tensors[f"{module}.{part}"] = plane
                value = mx.dequantize(*planes, group_size=group, bits=bits).astype(mx.float32)
                settings[module] = {"group_size": group, "bits": bits}
                expected[f"{module}.weight"] = {
                    "shape": list(shape), "crc32": zlib.crc32(np.array(value).tobytes())}
    OUT.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(OUT / "model.safetensors"), tensors, {"format": "mlx"})
    (OUT / "config.json").write_text(json.dumps(
        {"model_type": "llama", "quantization": settings}, indent=1) + "\n")
    rows = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(expected.items())]
    (OUT / "tensors.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


main()
