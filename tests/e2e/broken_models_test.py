"""Files that lie or end early are refused with a message; nothing crashes."""

import json
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness import GOLDENS, TestCase, run


class BrokenModels(TestCase):
    def logits(self, model):
        return run("logits", "--model", model, "--ids", "1,2,3", "--cache-dir", self.cache)

    def test_truncated_safetensors(self):
        model = self.copy("llama")
        file = model / "model.safetensors"
        whole = file.read_bytes()
        header = 8 + int.from_bytes(whole[:8], "little")
        for size in [0, 1, 7, 8, 9, 100, header - 1, header, header + 1, len(whole) // 2,
                     len(whole) - 1]:
            with self.subTest(bytes=size):
                file.write_bytes(whole[:size])
                self.assert_fails(self.logits(model), "model.safetensors")

    def test_safetensors_header_of_absurd_length(self):
        model = self.copy("llama")
        file = model / "model.safetensors"
        whole = file.read_bytes()
        for length in [0, 1, len(whole), 2**32, 2**63, 2**64 - 1]:
            with self.subTest(length=length):
                file.write_bytes(length.to_bytes(8, "little") + whole[8:])
                self.assert_fails(self.logits(model), "model.safetensors")

    def test_missing_tensors_are_named(self):
        model = self.copy("llama")
        file = model / "model.safetensors"
        file.write_bytes(file.read_bytes().replace(b"model.norm.weight", b"model.NORM.weight"))
        self.assert_fails(self.logits(model), "tensor model.norm.weight is missing")

    def test_lying_config(self):
        model = self.copy("llama")
        honest = json.loads((model / "config.json").read_text())
        huge, most = 10**30, 2**31
        lies = {
            "hidden_size": [0, -48, 49, 96, 48.5, "48", [48], most, huge, True],
            "vocab_size": [0, 383, 385, most, huge],
            "num_hidden_layers": [0, 4, 4097, most],
            "num_attention_heads": [0, 5, 3, most],
            "num_key_value_heads": [0, 3, 4, most],
            "head_dim": [0, 11, 13, 24, most],
            "intermediate_size": [0, 71, most, {}],
            "rms_norm_eps": ["small", []],
            "hidden_act": ["step", 7],
            "attention_bias": ["no", True],
            "model_type": ["unheard_of", 3],
            "rope_parameters": [7, {"rope_type": "spiral"}, {"rope_type": 1},
                                {"rope_type": "llama3"}, {"partial_rotary_factor": -1}],
        }
        cases = [(key, value) for key, values in lies.items() for value in values]
        for key, value in cases:
            with self.subTest(key=key, value=value):
                config = {**honest, key: value}
                if key == "model_type":
                    config["architectures"] = ["UnheardOf"]
                (model / "config.json").write_text(json.dumps(config))
                self.assert_fails(self.logits(model))

    def test_config_that_is_not_one(self):
        model = self.copy("llama")
        for text in ["", "{", "[]", "null", "7", "{}", '{"model_type": "llama"}', "\0" * 64,
                     "[" * 100000, '{"a": "' + "\\ud800" * 4 + '"}']:
            with self.subTest(text=text[:40]):
                (model / "config.json").write_text(text)
                self.assert_fails(self.logits(model), str(model))

    def test_unknown_model_type_lists_the_known(self):
        model = self.copy("llama")
        (model / "config.json").write_text('{"model_type": "unheard_of"}')
        self.assert_fails(self.logits(model), '"unheard_of" is not supported', "llama")

    def test_gguf_cut_at_every_64th(self):
        whole = (GOLDENS / "gguf" / "llama.gguf").read_bytes()
        files = []
        for part in range(64):
            files.append(self.folder / f"{part}.gguf")
            files[-1].write_bytes(whole[: len(whole) * part // 64])
        with ThreadPoolExecutor(2) as pool:
            for file, done in zip(files, pool.map(self.logits, files)):
                with self.subTest(file=file.name):
                    self.assert_fails(done, file.name)


if __name__ == "__main__":
    unittest.main()
