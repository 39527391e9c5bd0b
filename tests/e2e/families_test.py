"""docs/families.md is what `continuo families` prints."""

import unittest

from harness import GOLDENS, run


class Families(unittest.TestCase):
    def test_the_page_is_current(self):
        done = run("families")
        self.assertEqual(done.returncode, 0, done.stderr)
        page = GOLDENS.parent.parent / "docs" / "families.md"
        self.assertEqual(page.read_text(), done.stdout,
                         "write it anew: build/continuo families > docs/families.md")


if __name__ == "__main__":
    unittest.main()
