"""A step writes its keys and values where they lie: the compiled program copies no cache."""

import os
import re
import unittest

from harness import GOLDENS, TestCase, ids_text, run

ENTRY = re.compile(r"^ENTRY .*?^}", re.MULTILINE | re.DOTALL)
COPY = re.compile(r"= (\S+?)\{[^}]*\} copy\(%Arg_\d+")


class InPlace(TestCase):
    def programs(self, case, *arguments):
        """The text of each step program that XLA made, after its optimizations."""
        done = run("logits", "--model", GOLDENS / case, "--ids", ids_text([5, 7, 9]), "--greedy", 3,
                   "--cache-dir", self.folder / "cache", *arguments,
                   XLA_FLAGS=f"--xla_dump_to={self.folder / 'dump'} --xla_dump_hlo_as_text")
        self.assertEqual(done.returncode, 0, done.stderr)
        files = sorted((self.folder / "dump").glob("*.step*.cpu_after_optimizations.txt"))
        self.assertGreaterEqual(len(files), 2, os.listdir(self.folder / "dump"))
        return [ENTRY.search(file.read_text()).group() for file in files]

    def test_no_cache_is_copied(self):
        for case, rows in (("llama", 1), ("llama", 3), ("deepseek_v3", 3)):
            with self.subTest(case=case, rows=rows):
                for program in self.programs(case, "--row", rows - 1, "--rows", rows):
                    self.assertEqual(COPY.findall(program), [])


if __name__ == "__main__":
    unittest.main()
