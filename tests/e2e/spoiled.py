"""Models with a token whose row computes no numbers."""

import json
import shutil
import struct


class _Weights:
    """A safetensors file of float32 whose rows can be written."""

    def __init__(self, path):
        path.chmod(0o644)
        self.path, self.data = path, bytearray(path.read_bytes())
        size, = struct.unpack_from("<Q", self.data)
        self.header, self.begin = json.loads(self.data[8:8 + size]), 8 + size

    def fill_row(self, endings, row, value):
        """Of the one tensor [rows, width] whose name ends with one of them."""
        name, = (each for each in self.header if each.endswith(endings))
        tensor = self.header[name]
        assert tensor["dtype"] == "F32", tensor
        width = tensor["shape"][1]
        begin = self.begin + tensor["data_offsets"][0] + row * width * 4
        self.data[begin:begin + width * 4] = struct.pack(f"<{width}f", *[value] * width)

    def save(self):
        self.path.write_bytes(self.data)


def spoil(source, target, value, token, answered=True):
    """A copy of a model folder where the embedding of `token` holds `value` throughout. Unless it
    may be `answered`, its logit is always 0: never the highest, nor among the highest few."""
    shutil.copytree(source, target)
    weights = _Weights(target / "model.safetensors")
    weights.fill_row(("embed_tokens.weight", "embeddings.weight"), token, value)
    if not answered:
        weights.fill_row(("lm_head.weight",), token, 0.0)
    weights.save()
