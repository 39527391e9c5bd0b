"""Exit codes and streams: results on stdout, everything else on stderr, a code for each outcome."""

import json
import unittest

from harness import GOLDENS, TestCase, golden, ids_text, run

LLAMA = GOLDENS / "llama"


class ExitCodes(TestCase):
    def test_unusable_arguments(self):
        for arguments in [[], ["sing"], ["logits"], ["logits", "--model", LLAMA],
                          ["logits", "--model", LLAMA, "--ids", "a"],
                          ["logits", "--model", LLAMA, "--ids", "1", "--dtype", "f8"],
                          ["logits", "--model", LLAMA, "--ids", "1", "--rows", "0"],
                          ["logits", "--model", LLAMA, "--ids", "1", "--threads", "-1"],
                          ["emit", "--model", LLAMA, "--head", "tail"], ["verify"]]:
            with self.subTest(arguments=arguments):
                done = run(*arguments)
                self.assertGreaterEqual(done.returncode, 100)
                self.assertEqual(done.stdout, "")
                self.assertNotEqual(done.stderr, "")

    def test_help_and_version_succeed(self):
        for arguments in [["--help"], ["logits", "--help"], ["--version"]]:
            done = run(*arguments)
            self.assertEqual(done.returncode, 0)
            self.assertNotEqual(done.stdout, "")

    def test_missing_things(self):
        ids = ["--ids", "1,2"]
        self.assert_fails(run("logits", "--model", self.folder / "none", *ids), "none")
        self.assert_fails(run("logits", "--model", self.folder, *ids), "config.json")
        self.assert_fails(run("logits", "--model", self.folder / "none.gguf", *ids), "none.gguf")
        self.assert_fails(run("logits", "--model", LLAMA, "--config", self.folder / "c.json", *ids),
                          "c.json")
        self.assert_fails(
            run("logits", "--model", LLAMA, "--plugin", self.folder / "p.so", *ids), "p.so")
        self.assert_fails(run("emit", "--model", self.folder / "none"), "none")

    def test_unusable_requests(self):
        def logits(*arguments):
            return run("logits", "--model", LLAMA, "--cache-dir", self.cache, *arguments)

        self.assert_fails(logits("--ids", "1,384"), "wanted an id below 384, got 384")
        self.assert_fails(logits("--ids", "-1"), "wanted an id below 384, got -1")
        self.assert_fails(logits("--ids", "1,2,3", "--context", "2"), "do not fit a context of 2")
        self.assert_fails(logits("--ids", "1", "--feed", "chunk:0"), "wanted whole, token or chunk:K")
        self.assert_fails(logits("--ids", "1", "--row", "1"), "wanted a row below 1, got 1")

    def test_verify_tells_right_from_wrong(self):
        done = run("verify", LLAMA, "--json", "--cache-dir", self.cache)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(all(line["passed"] for line in json.loads(done.stdout)))

        wrong = self.copy("llama")
        reference = golden("llama")
        reference["prompts"][1]["last_logits"][3] += 0.01
        (wrong / "golden.json").write_text(json.dumps(reference))
        done = run("verify", wrong, "--cache-dir", self.cache)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("FAIL prompt of 7", done.stdout)

        reference = golden("llama")
        reference["prompts"][0]["greedy"][-1] += 1
        (wrong / "golden.json").write_text(json.dumps(reference))
        done = run("verify", wrong, "--json", "--cache-dir", self.cache)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertFalse(any(line["greedy_equal"] for line in json.loads(done.stdout)))

    def test_verify_refuses_a_golden_that_says_nothing(self):
        empty = self.copy("llama")

        def refused(reference):
            (empty / "golden.json").write_text(json.dumps(reference))
            done = run("verify", empty, "--json", "--cache-dir", self.cache)
            self.assertEqual(done.returncode, 1, done.stderr)
            return json.loads(done.stdout)[0]["problem"]

        self.assertIn("prompts: expected at least one, got none", refused({"prompts": []}))
        for field in ("ids", "greedy", "last_logits"):
            reference = golden("llama")
            reference["prompts"][2][field] = []
            self.assertIn(f"prompts[2].{field}: expected at least one", refused(reference))
            del reference["prompts"][2][field]
            self.assertIn(field, refused(reference))
        reference = golden("llama")
        reference["prompts"][3]["greedy"][0] ^= 1
        self.assertIn("prompts[3].greedy: expected the best of last_logits", refused(reference))
        reference["prompts"][3]["last_logits"][0] = 1e999
        self.assertIn("last_logits", refused(reference))
        for more in ({"compute": "float8"}, {"compute": "bfloat16"},
                     {"compute": "bfloat16", "f32_distance": 9.0}):
            self.assertIn("expected compute float32, or bfloat16 with an f32_distance",
                          refused({**golden("llama"), **more}))

    def test_verify_without_a_golden_fails(self):
        done = run("verify", self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("golden.json", done.stdout)


class Streams(TestCase):
    def test_stdout_carries_results_only(self):
        done = run("logits", "--model", LLAMA, "--ids", ids_text([3, 1]), "--cache-dir",
                   self.folder / "fresh")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1)
        self.assertEqual(set(json.loads(done.stdout)), {"logits", "greedy", "executables"})
        self.assertNotIn("\r", done.stderr)  # no bar where there is no terminal

    def test_emit_is_stable(self):
        for arguments in [[], ["--rows", "2", "--columns", "4", "--slots", "3", "--head", "all"],
                          ["--head", "argmax", "--dtype", "bf16"]]:
            first = run("emit", "--model", LLAMA, *arguments)
            self.assertEqual(first.returncode, 0, first.stderr)
            self.assertTrue(first.stdout.startswith("module @"))
            self.assertEqual(run("emit", "--model", LLAMA, *arguments).stdout, first.stdout)
            file = self.folder / "step.mlir"
            written = run("emit", "--model", LLAMA, *arguments, "-o", file)
            self.assertEqual((written.returncode, written.stdout), (0, ""))
            self.assertEqual(file.read_text(), first.stdout)

    def test_emit_reports_a_file_it_cannot_write(self):
        self.assert_fails(run("emit", "--model", LLAMA, "-o", self.folder / "no" / "step.mlir"),
                          "cannot write")


if __name__ == "__main__":
    unittest.main()
