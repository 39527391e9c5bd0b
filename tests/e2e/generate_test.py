"""`generate` on a real chat model: streams, JSON, stop strings, seeds, Ctrl-C, a warm cache.

CONTINUO_SMOLLM2 holds the model's path; `make test` sets it.
"""

import json
import os
import signal
import subprocess
import unittest

from harness import BINARY, GOLDENS, TestCase, run

MODEL = os.environ.get("CONTINUO_SMOLLM2", "")


class Generate(TestCase):
    def generate(self, *arguments, **more):
        done = run("generate", "--model", MODEL, "--cache-dir", self.cache, *arguments, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_a_second_start_compiles_nothing_and_says_the_same(self):
        arguments = ["--chat", "What is the capital of France?", "--max-tokens", "40", "--json"]
        self.generate(*arguments)
        second = json.loads(self.generate(*arguments).stdout)
        self.assertEqual(second["executables"]["compiled"], 0)
        self.assertGreater(second["executables"]["loaded"], 0)
        reference = json.loads((GOLDENS / "smollm2-135m-instruct.json").read_text())
        self.assertTrue(reference["prompts"][0]["text"].startswith(second["text"]))
        self.assertEqual(second["finish_reason"], "stop")
        streamed = self.generate(*arguments[:-1])
        self.assertEqual(streamed.stdout, second["text"] + "\n")
        self.assertIn("tok/s", streamed.stderr)

    def test_stop_strings_end_it_unseen(self):
        result = json.loads(self.generate("--chat", "What is the capital of France?", "--stop",
                                          " is Par", "--json").stdout)
        self.assertEqual(result["text"], "The capital of France")
        self.assertEqual(result["finish_reason"], "stop")

    def test_seeds_repeat(self):
        arguments = ["--prompt", "Once upon a time", "--max-tokens", "12", "--temperature", "1.0",
                     "--top-p", "0.95", "--json"]
        texts = [json.loads(self.generate(*arguments, "--seed", seed).stdout)["ids"]
                 for seed in ("1", "1", "2")]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_reads_stdin(self):
        done = subprocess.run([BINARY, "generate", "--model", MODEL, "--cache-dir", self.cache, "-q",
                               "--max-tokens", "40"], input="What is the capital of France?",
                              capture_output=True, text=True, timeout=600)
        self.assertEqual(done.stdout, "The capital of France is Paris.\n")

    def test_interrupt_ends_cleanly(self):
        self.generate("--prompt", "1 2 3 4", "--max-tokens", "200", "--ignore-eos", "--json")
        process = subprocess.Popen(
            [BINARY, "generate", "--model", MODEL, "--cache-dir", self.cache, "--prompt", "1 2 3 4",
             "--max-tokens", "200", "--ignore-eos"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, errors)

    def test_refuses_what_it_cannot_do(self):
        def generate(*arguments):
            return run("generate", "--cache-dir", self.cache, *arguments)

        self.assert_fails(generate("--model", GOLDENS / "llama", "--prompt", "a"), "tokenizer")
        self.assert_fails(generate("--model", MODEL, "--prompt", "a", "--temperature", "-1"),
                          "temperature: wanted a number >= 0")
        self.assert_fails(generate("--model", MODEL, "--prompt", "word " * 50, "--context", "16"),
                          "a context of 16 wanted at most 15")


if __name__ == "__main__":
    unittest.main()
