"""scripts/fuzz.sh runs the programs of the targets it is given, and none that an earlier run left."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUZZERS = {"fuzzers": ["json", "gguf"], "fuzzers_long": ["config"]}


class FuzzScript(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="continuo.fuzz."))
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "scripts").mkdir()
        shutil.copy(ROOT / "scripts/fuzz.sh", self.root / "scripts")
        build = self.root / "build/fuzz"
        (build / "fuzzers").mkdir(parents=True)
        for target, names in FUZZERS.items():
            (build / f"{target}.txt").write_text("".join(f"src/a/{n}_fuzz.cc\n" for n in names))
        # "config" lies here since a longer run; "gone" has no source any more.
        for name in ("json", "gguf", "config", "gone"):
            self.script(build / f"fuzzers/{name}_fuzz", f'echo "$0" >> {self.root}/ran\n'
                        "echo stat::number_of_executed_units: 7\ntouch $LLVM_PROFILE_FILE")
        for tool in ("ninja", "llvm-profdata", "llvm-cov"):
            self.script(self.root / f"bin/{tool}", f'echo "{tool} $*" >> {self.root}/tools')

    def script(self, path, text):
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + text + "\n")
        path.chmod(0o755)

    def ran(self, *targets):
        subprocess.run([self.root / "scripts/fuzz.sh", "1", *targets], check=True,
                       stdout=subprocess.DEVNULL, env={"PATH": f"{self.root}/bin:/usr/bin:/bin"})
        self.assertIn(f"ninja -C build/fuzz {' '.join(targets)}\n",
                      (self.root / "tools").read_text())
        return sorted(Path(line).name for line in (self.root / "ran").read_text().split())

    def test_the_quick_ones_alone(self):
        self.assertEqual(self.ran("fuzzers"), ["gguf_fuzz", "json_fuzz"])

    def test_the_long_ones_too(self):
        self.assertEqual(self.ran("fuzzers", "fuzzers_long"),
                         ["config_fuzz", "gguf_fuzz", "json_fuzz"])


if __name__ == "__main__":
    unittest.main()
