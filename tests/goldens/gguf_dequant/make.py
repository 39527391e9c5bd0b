"""Writes TYPE.bin (blocks) and TYPE.f32 (what gguf-py makes of them) into this folder.

Random bytes everywhere, the float16 scales sane but for edge values: zeros of both signs,
subnormals, the largest numbers, infinity. Made with gguf 0.19.0 and numpy: python make.py
"""
import pathlib

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

FOLDER = pathlib.Path(__file__).parent
# Where the float16 scales of a block are.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
    "MXFP4": [],
}
EDGES = np.array([0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0x3C00, 0x3555,
                  0x1234, 0xB123], dtype=np.uint16)
rng = np.random.default_rng(20)


def quantised(name, block, size):
    count = 24 if block == 32 else 6
    blocks = rng.integers(0, 256, size=(count, size), dtype=np.uint8)
    quants = np.ones(size, bool)
    for offset in SCALES[name]:
        scale = (rng.normal(size=count) * 0.05).astype(np.float16).view(np.uint16)
        edges = EDGES if block == 32 else EDGES[[2, 5]]
        scale[: len(edges)] = edges
        blocks[:, offset : offset + 2] = scale.view(np.uint8).reshape(-1, 2)
        quants[offset : offset + 2] = False
    blocks[-1][quants] = 255
    blocks[-2][quants] = 0
    blocks[-3][quants] = 0x80
    if name == "MXFP4":
        blocks[:6, 0] = [0, 1, 2, 127, 254, 255]
    return blocks.reshape(-1)


def plain(name, size):
    if name == "F16":
        every = np.arange(0, 65536, 127, dtype=np.uint32).astype(np.uint16)
        return np.concatenate([every, EDGES]).view(np.uint8)
    return rng.integers(0, 256, size=512 * size, dtype=np.uint8)


for name in ["F32", "F16", "BF16", *SCALES]:
    kind = GGMLQuantizationType[name]
    block, size = GGML_QUANT_SIZES[kind]
    data = plain(name, size) if block == 1 else quantised(name, block, size)
    with np.errstate(all="ignore"):
        expected = np.ascontiguousarray(dequantize(data, kind), dtype=np.float32)
    data.tofile(FOLDER / f"{name}.bin")
    expected.tofile(FOLDER / f"{name}.f32")
