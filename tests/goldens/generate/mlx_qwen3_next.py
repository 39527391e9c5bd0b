"""mlx_qwen3_next from qwen3_next, as mlx-lm's `Model.sanitize` (mlx_lm/models/qwen3_next.py) rewrites it:
norms hold 1 + w, conv weights lie as [C,K,1], a layer's experts are one tensor."""

import array
import json
import shutil
import struct
from pathlib import Path

GOLDENS = Path(__file__).resolve().parent.parent
SOURCE, TARGET = GOLDENS / "qwen3_next", GOLDENS / "mlx_qwen3_next"
SHIFTED = ("input_layernorm", "post_attention_layernorm", "model.norm", "q_norm", "k_norm")


def read(path):
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    for name, entry in header.items():
        assert entry["dtype"] == "F32"
        begin, end = entry["data_offsets"]
        yield name, entry["shape"], data[8 + size + begin:8 + size + end]


def rewrite(tensors):
    out, experts = {}, {}
    for name, shape, raw in tensors:
        if name.endswith("conv1d.weight"):
            shape = [shape[0], shape[2], shape[1]]
        if name.endswith(tuple(f"{norm}.weight" for norm in SHIFTED)):
            raw = array.array("f", [1.0 + x for x in array.array("f", raw)]).tobytes()
        if ".mlp.experts." in name:
            layer, rest = name.split(".experts.")
            index, part = rest.split(".", 1)
            experts.setdefault(f"{layer}.switch_mlp.{part}", {})[int(index)] = (shape, raw)
        else:
            out[name] = (shape, raw)
    for name, each in experts.items():
        out[name] = ([len(each), *each[0][0]], b"".join(each[i][1] for i in range(len(each))))
    return out


def write(path, tensors):
    header, data = {"__metadata__": {"format": "mlx"}}, b""
    for name, (shape, raw) in sorted(tensors.items()):
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


TARGET.mkdir(exist_ok=True)
write(TARGET / "model.safetensors", rewrite(read(SOURCE / "model.safetensors")))
for file in ("config.json", "golden.json"):
    shutil.copy(SOURCE / file, TARGET)
