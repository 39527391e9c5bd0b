"""What the documentation names in backticks exists: paths, types and functions; code it quotes is the code."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["docs/architecture.md", "docs/adding-a-family.md", "docs/determinism.md"]

FENCE = re.compile(r"^```(\S*) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:src|tests|docs|rust|cmake|scripts)/[\w./-]*")
NAME = re.compile(r"(?:[A-Za-z_]\w*::)*~?[A-Za-z_]\w*")
DEFINITION = r"\b(?:class|struct|enum class|enum|using)\s+(?:\[\[nodiscard\]\]\s+)?{0}\b"


def sources():
    files = [p for p in (ROOT / "src").rglob("*") if p.suffix in {".h", ".cc"} and not p.stem.endswith("_test")]
    return "\n".join(p.read_text() for p in files)


def missing(text, code):
    """The names and paths in backticks that are neither in the tree nor in `code`."""
    problems = []
    for span in CODE.findall(FENCE.sub("", text)):
        if PATH.fullmatch(span):
            if "NAME" not in span and not (ROOT / span).exists():
                problems.append(f"no such path: {span}")
        elif NAME.fullmatch(span.removesuffix("()").removesuffix("(...)")):
            name = span.split("(")[0].split("::")[-1]
            is_type = re.fullmatch(r"[A-Z][a-z]\w*[a-z]\w*", name) and "_" not in name
            pattern = DEFINITION.format(name) if is_type and "::" not in span else rf"\b{re.escape(name)}\b"
            if not re.search(pattern, code):
                problems.append(f"no such name: {span}")
    return problems


def unquoted(text):
    """Lines of fenced code with a file's name that are not lines of that file."""
    problems = []
    for _, path, body in FENCE.findall(text):
        if path:
            lines = (ROOT / path).read_text().splitlines()
            problems += [f"not in {path}: {line}" for line in body.splitlines() if line not in lines]
    return problems


class Docs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.code = sources()

    def test_pages_name_what_exists(self):
        for page in PAGES:
            text = (ROOT / page).read_text()
            self.assertGreater(len(CODE.findall(text)), 20, page)
            self.assertEqual(missing(text, self.code), [], page)

    def test_quoted_code_is_the_code(self):
        for page in PAGES:
            self.assertEqual(unquoted((ROOT / page).read_text()), [], page)

    def test_the_checks_find_what_is_wrong(self):
        self.assertEqual(missing("`src/nowhere.h` `Stepperino` `Step::no_such()` `Step`", self.code),
                         ["no such path: src/nowhere.h", "no such name: Stepperino", "no such name: Step::no_such()"])
        self.assertEqual(unquoted("```cpp src/models/granite.cc\nint nonsense;\n```\n"),
                         ["not in src/models/granite.cc: int nonsense;"])


if __name__ == "__main__":
    unittest.main()
