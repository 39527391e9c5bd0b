"""`logits` gives the reference's numbers however a prompt is fed, and compiles only once."""

import json
import unittest
from pathlib import Path

from harness import GOLDENS, TestCase, golden, ids_text, run

FEEDS = ["whole", "token", "chunk:5", "chunk:16"]
ROWS = [(0, 1), (0, 3), (2, 3)]


class Logits(TestCase):
    def test_every_feed_and_row(self):
        for prompt in golden("llama")["prompts"][1::2]:  # 7 and 45 tokens
            for feed in FEEDS:
                for row, rows in ROWS:
                    with self.subTest(tokens=len(prompt["ids"]), feed=feed, row=row, rows=rows):
                        result = self.logits(GOLDENS / "llama", prompt["ids"], "--feed", feed,
                                             "--row", row, "--rows", rows, "--greedy", 3,
                                             "--context", 80)
                        self.assert_close(result["logits"], prompt["last_logits"])
                        self.assertEqual(result["greedy"], prompt["greedy"][:3])

    def test_every_prompt_in_each_storage(self):
        for model in ["llama_bf16", "llama3_rope", "gguf/llama.gguf"]:
            case = Path(model).stem
            for prompt in golden(case)["prompts"]:
                with self.subTest(model=model, tokens=len(prompt["ids"])):
                    result = self.logits(GOLDENS / model, prompt["ids"], "--dtype", "f32",
                                         "--context", 80)
                    self.assert_close(result["logits"], prompt["last_logits"])
                    self.assertEqual(result["greedy"], [])

    def test_older_config_is_the_same_model(self):
        prompt = golden("llama")["prompts"][2]
        result = self.logits(GOLDENS / "llama", prompt["ids"], "--config",
                             GOLDENS / "llama" / "config.hub.json", "--context", 80)
        self.assert_close(result["logits"], prompt["last_logits"])


class CompileCache(TestCase):
    MODEL = GOLDENS / "llama"
    IDS = [5, 7, 9]

    def start(self, cache):
        return self.logits(self.MODEL, self.IDS, "--greedy", 2, "--context", 32, cache=cache)

    def entries(self, cache):
        return sorted(Path(cache).glob("*.executable"))

    def test_second_start_compiles_nothing(self):
        cache = self.folder / "cache"
        first = self.start(cache)
        self.assertEqual(first["executables"], {"compiled": 2, "loaded": 0})
        second = self.start(cache)
        self.assertEqual(second["executables"], {"compiled": 0, "loaded": 2})
        self.assertEqual(second["logits"], first["logits"])
        self.assertEqual(second["greedy"], first["greedy"])

    def test_damaged_entries_are_rebuilt(self):
        cache = self.folder / "cache"
        first = self.start(cache)
        damages = [lambda data: data[:-1], lambda data: b"", lambda data: data[:40],
                   lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
                   lambda data: data + b"x", lambda data: b"\0" * len(data)]
        for number, damage in enumerate(damages):
            with self.subTest(damage=number):
                entries = self.entries(cache)
                self.assertEqual(len(entries), 2)
                for entry in entries:
                    entry.write_bytes(damage(entry.read_bytes()))
                again = self.start(cache)
                self.assertEqual(again["executables"], {"compiled": 2, "loaded": 0})
                self.assertEqual(again["logits"], first["logits"])
        after = self.start(cache)
        self.assertEqual(after["executables"], {"compiled": 0, "loaded": 2})

    def test_a_cache_that_cannot_be_written_is_a_warning(self):
        blocked = self.folder / "file"
        blocked.write_text("not a folder")
        done = run("logits", "--model", self.MODEL, "--ids", ids_text(self.IDS), "--cache-dir",
                   blocked / "cache")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("compiled programs are not kept", done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["logits"]), 384)


if __name__ == "__main__":
    unittest.main()
