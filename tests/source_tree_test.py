"""The source tree keeps its rules: includes follow the arrows between src/'s folders, files are short.

A folder may include itself and the folders its CMakeLists.txt names as DEPS, and what those reach;
its tests (x_test.cc, x_test.h, test_x.h) also their TEST_DEPS; a fuzzer
(x_fuzz.cc) may use its folder's test headers. DEPS themselves must follow ARROWS, the design written down once.
"""

import re
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ARROWS = {
    "base": set(),
    "graph": {"base"},
    "ops": {"base", "graph"},
    "checkpoint": {"base"},
    "models": {"base", "graph", "ops", "checkpoint"},
    "runtime": {"base", "graph"},
    "text": {"base"},
    "engine": {"base", "graph", "ops", "checkpoint", "models", "runtime", "text"},
    "measure": {"base", "graph", "ops", "checkpoint", "models", "runtime", "text", "engine"},
    "server": {"base", "graph", "ops", "checkpoint", "models", "runtime", "text", "engine"},
}
ARROWS["cli"] = set(ARROWS)

# Where only some headers of a folder may be included: runtime fills in the target's description.
ONLY_HEADERS = {("runtime", "graph"): {"graph/target.h"}}

MODULE = re.compile(r"continuo_module\s*\(([^)]*)\)")
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)
SOURCES = {".cc", ".h"}
CODE = {".cc", ".cpp", ".cu", ".cuh", ".h", ".py", ".rs", ".js", ".ts", ".css", ".html", ".sh"}
MAX_LINES = 450


def read_modules(src):
    """{folder: {"DEPS": set, "TEST_DEPS": set}} of the folders that declare a module."""
    modules = {}
    for lists in sorted(src.glob("*/CMakeLists.txt")):
        text = re.sub(r"#.*", "", lists.read_text())
        for match in MODULE.finditer(text):
            name, *words = match[1].split()
            module = {"DEPS": set(), "TEST_DEPS": set()}
            key = None
            for word in words:
                if word.isupper():
                    key = word
                elif key in module:
                    module[key].add(word)
            modules[name] = module
    return modules


def reachable(start, modules):
    seen, left = set(), list(start)
    while left:
        folder = left.pop()
        if folder not in seen:
            seen.add(folder)
            left += modules.get(folder, {}).get("DEPS", ())
    return seen


def is_test(path):
    stem = path.split("/")[-1].split(".")[0]
    return stem.endswith("_test") or stem.startswith("test_")


def check_arrows(src):
    """Complaints about DEPS and includes, as printable lines."""
    modules = read_modules(src)
    complaints = []
    for folder, module in modules.items():
        lists = f"{src.name}/{folder}/CMakeLists.txt"
        if folder not in ARROWS:
            complaints.append(f"{lists}: {folder} is not in ARROWS")
            continue
        if folder in reachable(module["DEPS"], modules):
            complaints.append(f"{lists}: {folder} depends on itself")
        for dep in sorted(module["DEPS"] - ARROWS[folder]):
            complaints.append(f"{lists}: DEPS {dep} is against the arrows")

    for path in sorted(p for p in src.rglob("*") if p.suffix in SOURCES):
        folder = path.relative_to(src).parts[0]
        # The program itself declares no module: it may use whatever the design gives its folder.
        module = modules.get(folder, {"DEPS": ARROWS.get(folder, set()), "TEST_DEPS": set()})
        allowed = {folder} | reachable(module["DEPS"], modules)
        if is_test(path.name):
            allowed |= reachable(module["TEST_DEPS"], modules)
        for header in INCLUDE.findall(path.read_text()):
            where = f"{path.relative_to(src.parent)}: #include {header}"
            target = header.split("/")[0]
            if target not in ARROWS or "/" not in header:
                if (path.parent / header).exists():
                    complaints.append(f"{where}: write the path from src/")
            elif target not in allowed:
                complaints.append(f"{where}: {folder} may include only {sorted(allowed)}")
            elif is_test(header) and not (is_test(path.name) or path.stem.endswith("_fuzz")):
                complaints.append(f"{where}: only tests include tests")
            elif header not in ONLY_HEADERS.get((folder, target), {header}) and not is_test(path.name):
                only = sorted(ONLY_HEADERS[folder, target])
                complaints.append(f"{where}: of {target}, {folder} may include only {only}")
    return complaints


def check_lengths(root):
    complaints = []
    for folder in ("src", "tests", "bench", "rust", "web"):
        for path in sorted(p for p in (root / folder).rglob("*") if p.suffix in CODE):
            relative = path.relative_to(root)
            if {"target", "goldens", "node_modules"} & set(relative.parts):
                continue
            lines = len(path.read_text().splitlines())
            if lines > MAX_LINES:
                complaints.append(f"{relative}: {lines} lines, wanted at most {MAX_LINES}")
    return complaints


class SourceTree(unittest.TestCase):
    def test_includes_follow_the_arrows(self):
        self.assertGreaterEqual(len(read_modules(ROOT / "src")), 8)
        self.assertEqual(check_arrows(ROOT / "src"), [])

    def test_files_are_short(self):
        self.assertEqual(check_lengths(ROOT), [])


class Planted(unittest.TestCase):
    """Each rule, broken on purpose in a tree of its own, is reported."""

    def complaints(self, files):
        with tempfile.TemporaryDirectory() as root:
            modules = {
                "base": "continuo_module(base)",
                "graph": "continuo_module(graph DEPS base LIBS fmt::fmt)",
                "ops": "continuo_module(ops DEPS graph TEST_DEPS runtime)",
                "runtime": "continuo_module(runtime DEPS base graph)",
            }
            tree = {f"src/{name}/CMakeLists.txt": text for name, text in modules.items()}
            for name, text in {**tree, **files}.items():
                path = Path(root, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return check_arrows(Path(root, "src")) + check_lengths(Path(root))

    def assert_reported(self, files, part):
        complaints = self.complaints(files)
        self.assertEqual(len(complaints), 1, complaints)
        self.assertIn(part, complaints[0])

    def test_good_tree_is_quiet(self):
        self.assertEqual(self.complaints({
            "src/ops/norm.cc": '#include <vector>\n#include "base/check.h"\n#include "graph/g.h"\n',
            "src/ops/norm_test.cc": '#include "runtime/executor.h"\n',
            "src/runtime/executor.h": '#include "graph/target.h"\n',
            "src/runtime/test_runner.h": '#include "graph/graph.h"\n',
            "src/cli/main.cc": '#include "runtime/executor.h"\n',
            "src/cli/main_fuzz.cc": '#include "cli/test_main.h"\n',
        }), [])

    def test_include_against_the_arrows(self):
        self.assert_reported({"src/graph/a.h": '#include "ops/norm.h"\n'},
                             "src/graph/a.h: #include ops/norm.h: graph may include only")
        self.assert_reported({"src/graph/a.h": "#  include <ops/norm.h>\n"}, "#include ops/norm.h")

    def test_only_tests_use_test_deps(self):
        self.assert_reported({"src/ops/norm.cc": '#include "runtime/executor.h"\n'},
                             "ops may include only")

    def test_only_tests_include_tests(self):
        self.assert_reported({"src/base/a.cc": '#include "base/test_a.h"\n'},
                             "only tests include tests")

    def test_runtime_sees_only_the_target(self):
        self.assert_reported({"src/runtime/a.cc": '#include "graph/graph.h"\n'},
                             "runtime may include only ['graph/target.h']")

    def test_include_without_folder(self):
        self.assert_reported({"src/ops/a.cc": '#include "norm.h"\n', "src/ops/norm.h": ""},
                             "write the path from src/")

    def test_deps_against_the_arrows(self):
        self.assert_reported({"src/text/CMakeLists.txt": "continuo_module(text DEPS base graph)"},
                             "DEPS graph is against the arrows")

    def test_cycle(self):
        complaints = self.complaints({"src/graph/CMakeLists.txt": "continuo_module(graph DEPS ops)"})
        self.assertTrue(any("graph depends on itself" in line for line in complaints), complaints)

    def test_unknown_folder(self):
        self.assert_reported({"src/misc/CMakeLists.txt": "continuo_module(misc)"}, "not in ARROWS")

    def test_long_file(self):
        self.assert_reported({"src/base/a.cc": "\n" * 451}, "451 lines, wanted at most 450")


if __name__ == "__main__":
    unittest.main()
