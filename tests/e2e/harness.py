"""Runs the built program as a user does: its own process, its exit code, its two streams.

CONTINUO_BINARY names the program; tests/CMakeLists.txt sets it.
"""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

GOLDENS = Path(__file__).resolve().parent.parent / "goldens"
BINARY = os.environ["CONTINUO_BINARY"]
TIMEOUT = 600
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "continuo/executables"


def run(*arguments, **environment):
    """The finished process; a crash is a negative returncode."""
    return subprocess.run(
        [BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT,
        env={**os.environ, **environment})


def golden(case):
    return json.loads((GOLDENS / case / "golden.json").read_text())


def ids_text(ids):
    return ",".join(map(str, ids))


class TestCase(unittest.TestCase):
    """Has a folder of its own, self.folder. All tests share the user's cache of executables, where
    they are not about it: compiling is most of their time."""

    cache = CACHE

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="continuo.e2e."))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def copy(self, case):
        """A copy of a golden case that may be broken."""
        return Path(shutil.copytree(GOLDENS / case, self.folder / case))

    def logits(self, model, ids, *arguments, cache=None):
        """The JSON object that `logits` prints."""
        done = run("logits", "--model", model, "--ids", ids_text(ids), "--json", "--cache-dir",
                   cache or self.cache, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def assert_fails(self, done, *parts):
        """A message and code 2: not a crash, nothing on stdout."""
        self.assertEqual(done.returncode, 2, f"{done.stdout}\n{done.stderr}")
        self.assertEqual(done.stdout, "")
        self.assertRegex(done.stderr, r"(?m)^continuo: \S")
        for part in parts:
            self.assertIn(part, done.stderr)

    def assert_close(self, got, wanted, tolerance=1e-3):
        self.assertEqual(len(got), len(wanted))
        worst = max(abs(g - w) for g, w in zip(got, wanted))
        self.assertLessEqual(worst, tolerance)
