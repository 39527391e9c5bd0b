"""Loading holds the weights about once: the files' pages go as tensors reach the device."""

import array
import json
import os
import random
import subprocess
import unittest

from harness import BINARY, TestCase

HIDDEN, INNER, LAYERS, VOCAB, HEADS = 1024, 4096, 4, 8192, 8


def tensors():
    """A llama of about 330 MB in float32: {name: shape}."""
    shapes = {"model.embed_tokens.weight": (VOCAB, HIDDEN), "model.norm.weight": (HIDDEN,),
              "lm_head.weight": (VOCAB, HIDDEN)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        shapes |= {prefix + f"self_attn.{name}_proj.weight": (HIDDEN, HIDDEN) for name in "qkvo"}
        shapes |= {prefix + f"mlp.{name}_proj.weight": (INNER, HIDDEN) for name in ("gate", "up")}
        shapes[prefix + "mlp.down_proj.weight"] = (HIDDEN, INNER)
        shapes[prefix + "input_layernorm.weight"] = (HIDDEN,)
        shapes[prefix + "post_attention_layernorm.weight"] = (HIDDEN,)
    return shapes


def write_model(folder):
    """Writes config and weights; returns the weights' bytes."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "vocab_size": VOCAB, "num_attention_heads": HEADS,
        "max_position_embeddings": 128, "tie_word_embeddings": False}))
    header, end = {}, 0
    for name, shape in tensors().items():
        size = 4
        for dim in shape:
            size *= dim
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    source = random.Random(7)
    block = array.array("f", (source.gauss(0, 0.02) for _ in range(HIDDEN))).tobytes()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(end // len(block)):
            file.write(block)
    return end


class Memory(TestCase):
    def peak(self, model, *arguments):
        """Peak resident bytes of one start."""
        with subprocess.Popen(
                [BINARY, "logits", "--model", str(model), "--ids", "1,2,3", "--cache-dir",
                 self.cache, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            output, errors = process.stdout.read(), process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0, errors)
        self.assertEqual(len(json.loads(output)["logits"]), VOCAB)
        return usage.ru_maxrss * 1024

    def test_peak_at_load(self):
        model = self.folder / "large"
        weights = write_model(model)
        self.assertGreater(weights, 300e6)
        for start in ["cold", "warm"]:
            peak = self.peak(model)
            with self.subTest(start=start, peak=peak, weights=weights):
                self.assertLessEqual(peak, 1.3 * weights + 400e6)


if __name__ == "__main__":
    unittest.main()
