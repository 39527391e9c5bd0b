"""A step writes its keys and values where they lie, and attends over them there: no program that
is served copies a cache, or a part of one."""

import os
import re
import tempfile
import unittest
from pathlib import Path

import hlo
from harness import GOLDENS, TestCase, ids_text, run

CONTEXT = 1024
POSITIONS = 512  # more than any step has columns
ENTRY = re.compile(r"^ENTRY .*?^}", re.MULTILINE | re.DOTALL)
COPY = re.compile(r"= (\S+?)\{[^}]*\} copy\(%Arg_\d+")


class InPlace(TestCase):
    def dumped(self, count, *arguments):
        """The text of each step program that XLA made, after its optimizations."""
        dump = Path(tempfile.mkdtemp(dir=self.folder))
        done = run(*arguments, "--cache-dir", dump / "cache",
                   XLA_FLAGS=f"--xla_dump_to={dump} --xla_dump_hlo_as_text")
        self.assertEqual(done.returncode, 0, done.stderr)
        programs = hlo.programs(dump)
        self.assertGreaterEqual(len(programs), count, os.listdir(dump))
        return programs

    def served(self, case, count):
        """All programs that `serve` would compile ahead (Scheduler::keys)."""
        return self.dumped(count, "bench", "--serve", "--model", GOLDENS / case, "--rows", 3,
                           "--context", CONTEXT, "--requests", 1, "--prompt", 3, "--tokens", 2)

    def test_no_served_program_copies_a_cache(self):
        for case in ("llama", "deepseek_v3"):
            with self.subTest(case=case):
                for program in self.served(case, 5):
                    self.assertEqual(hlo.copied(program, POSITIONS), [])

    def test_a_copy_would_be_seen(self):
        programs = self.dumped(3, "bench", "--model", GOLDENS / "llama", "--rows", 3, "--context",
                               CONTEXT, "--prompt", 500, "--tokens", 1, "--attention", "bucket")
        self.assertTrue(any(hlo.copied(program, POSITIONS) for program in programs))

    def test_no_argument_is_copied(self):
        for case, rows in (("llama", 1), ("llama", 3), ("deepseek_v3", 3)):
            with self.subTest(case=case, rows=rows):
                for program in self.dumped(2, "logits", "--model", GOLDENS / case, "--ids",
                                           ids_text([5, 7, 9]), "--greedy", 3, "--row", rows - 1,
                                           "--rows", rows):
                    self.assertEqual(COPY.findall(ENTRY.search(program).group()), [])


if __name__ == "__main__":
    unittest.main()
